// Whether the process may hold as many descriptors as its ttys need. Only warns: what is missing shows at each port, too.
import { readFileSync } from 'node:fs';

/** A PTY master and the two sockets of its connection. */
const PER_TTY = 3;
/** Node itself, the control socket and its clients. */
const OWN = 64;

/** The soft RLIMIT_NOFILE of this process (proc(5)); Infinity where there is none or /proc is not mounted. */
export function descriptorLimit(limits = readLimits()): number {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  const limit = Number(soft);
  return Number.isFinite(limit) && soft !== undefined ? limit : Number.POSITIVE_INFINITY;
}

/** One line for the log where the limit is too low for so many ttys. */
export function descriptorWarning(ttys: number, limit: number): string | undefined {
  const needed = ttys * PER_TTY + OWN;
  if (limit >= needed) return undefined;
  return `${ttys} ttys need up to ${needed} file descriptors, and the limit is ${limit}: raise LimitNOFILE (ulimit -n)`;
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
