// Durations as people write them: "10s", "500ms", "1m", "2h", or a plain number of seconds.

const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds; undefined where it is no duration. */
export function parseDuration(value: string | number): number | undefined {
  const match = DURATION.exec(String(value).trim());
  const unit = UNIT_MS[match?.[2] ?? 's'];
  return match?.[1] === undefined || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** "850 ms", "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h": the two largest units. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1000);
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const two = (a: number, unitA: string, b: number, unitB: string) => `${a} ${unitA}${b > 0 ? ` ${b} ${unitB}` : ''}`;
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return two(minutes, 'min', seconds % 60, 's');
  if (days === 0) return two(hours, 'h', minutes % 60, 'min');
  return two(days, 'd', hours % 24, 'h');
}
