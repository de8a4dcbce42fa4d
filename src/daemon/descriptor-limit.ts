// Whether the process may hold as many descriptors as its ports need. Only warns: what is missing shows at each port, too.
import { readFileSync } from 'node:fs';
import type { ServedMode } from '../config/resolved.js';
import { descriptorsOf } from '../config/serial-ports.js';

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

/** One line for the log where the limit is too low for so many ttys and serial ports. */
export function descriptorWarning(ttys: number, served: readonly ServedMode[], limit: number): string | undefined {
  const needed = ttys * PER_TTY + served.reduce((sum, mode) => sum + descriptorsOf(mode), 0) + OWN;
  const users = `${ttys} ttys${served.length > 0 ? ` and ${served.length} serial ports` : ''}`;
  if (limit >= needed) return undefined;
  return `${users} need up to ${needed} file descriptors, and the limit is ${limit}: raise LimitNOFILE (ulimit -n)`;
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
