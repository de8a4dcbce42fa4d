// System calls of a program as strace -f wrote them down: by whom, what, in order, and what it returned. Runs the program
// under strace and reads the log; judges nothing. strace(1).
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Call {
  readonly thread: number;
  /** 'STOPPED': no call, it was stopped by a signal. */
  readonly name: string;
  /** Negative: an errno, or a call that has not returned. */
  result: number;
}

/** Put before a program it stays that process, and the log is written by another one (-D). */
export const straceInto = (file: string): string[] => ['strace', '-D', '-f', '-qq', '-e', 'raw=all', '-o', file];

/** Why strace cannot be used here; undefined where it can. */
export function noStrace(): string | undefined {
  const { error, status, stderr } = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (error) return 'strace is not installed';
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.trim()}`;
}

const BEGUN = /^(\d+) +(\w+)\(/;
const RESUMED = /^(\d+) +<\.\.\. \w+ resumed>/;
const STOPPED = /^(\d+) +--- stopped by /;
const RESULT = / = (-?(?:0x)?[0-9a-f]+)[^=]*$/;

/** A call that another thread's line cut in two is one call, where it began. */
export function readCalls(file: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<string, Call>();
  for (const line of readFileSync(file, 'latin1').split('\n')) {
    const result = Number(RESULT.exec(line)?.[1] ?? -1);
    const [, thread = '', name = 'STOPPED'] = BEGUN.exec(line) ?? STOPPED.exec(line) ?? [];
    if (thread !== '') {
      const call = { thread: Number(thread), name, result };
      calls.push(call);
      open.set(thread, call);
      continue;
    }
    const resumed = open.get(RESUMED.exec(line)?.[1] ?? '');
    if (resumed) resumed.result = result;
  }
  return calls;
}

/** The thread that makes the most calls of that name. */
export function threadThatCalls(calls: readonly Call[], name: string): number {
  const counts = new Map<number, number>();
  for (const call of calls) if (call.name === name) counts.set(call.thread, (counts.get(call.thread) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  if (!most) throw new Error(`nobody calls ${name}`);
  return most[0];
}

/** "6.00 calls (epoll_wait 2.00, readv 1.00)", each divided by `units`. */
export function describeCalls(calls: readonly Call[], units: number): string {
  const counts = new Map<string, number>();
  for (const { name } of calls) counts.set(name, (counts.get(name) ?? 0) + 1);
  const each = [...counts].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${(n / units).toFixed(2)}`);
  return `${(calls.length / units).toFixed(2)} calls (${each.join(', ')})`;
}
