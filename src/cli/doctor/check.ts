// One step of the doctor's walk: what was looked at, what came out, and what to do next. Plain values; knows no port and
// prints nothing.

export type CheckResult = 'ok' | 'failed' | 'not checked';

export interface Check {
  /** A short noun: "command port". */
  readonly step: string;
  readonly result: CheckResult;
  /** What was found, one line. */
  readonly text: string;
  /** What to do next, one line; null where there is nothing to do. */
  readonly hint: string | null;
}

export function ok(step: string, text: string, hint: string | null = null): Check {
  return { step, result: 'ok', text, hint };
}

export function failed(step: string, text: string, hint: string): Check {
  return { step, result: 'failed', text, hint };
}

export function notChecked(step: string, text: string, hint: string | null = null): Check {
  return { step, result: 'not checked', text, hint };
}

/** 0: nothing failed. */
export function exitCodeOf(checks: readonly Check[]): number {
  return checks.some((check) => check.result === 'failed') ? 1 : 0;
}

export function countOf(checks: readonly Check[], result: CheckResult): number {
  return checks.filter((check) => check.result === result).length;
}
