// A daemon that is killed while numbered records go both ways, and the account of what arrived at both ends.
import { expect } from 'vitest';
import type { Managed } from './managed.js';

export interface TrafficApp {
  /** Returns how many bytes were taken. */
  write(bytes: Uint8Array): number;
  /** What is there now; undefined: hung up. */
  read(): Buffer | undefined;
}

export interface Account {
  /** Bytes of the records that did not arrive whole. */
  readonly missing: number;
}

const RECORD_BYTES = 16;
/** Bytes of the records at both ends of a loss, of which a part arrives. */
export const CUT_RECORDS = 2 * RECORD_BYTES;
/** A loss that begins and ends within records leaves two halves that look like one: its second number is not the first's then. */
const checkOf = (n: number) => (Math.imul(n + 1, 0x9e37_79b1) >>> 0).toString(16).padStart(8, '0');

/** Records, numbered from `first` on. */
function numbered(first: number, count: number): Buffer {
  const record = (n: number) => `${String(n).padStart(7, '0')}${checkOf(n)}\n`;
  return Buffer.from(Array.from({ length: count }, (_, i) => record(first + i)).join(''));
}

/** Bytes of the records that did not arrive whole, and records that came twice or out of order. */
function audit(bytes: Buffer): { missing: number; disorder: number; last: number } {
  let expected = 0;
  let missing = 0;
  let disorder = 0;
  const text = bytes.toString('latin1');
  for (const [, digits, check] of text.matchAll(/(\d{7})([0-9a-f]{8})\n/g)) {
    const n = Number(digits);
    if (checkOf(n) !== check) continue;
    if (n < expected) disorder++;
    else missing += RECORD_BYTES * (n - expected);
    expected = n + 1;
  }
  return { missing, disorder, last: expected - 1 };
}

function taken(app: TrafficApp): Buffer {
  const bytes = app.read();
  if (bytes === undefined) throw new Error('hung up');
  return bytes;
}

/** Nothing is doubled or out of order, the application is not hung up, and the port goes on after the last kill. */
export async function killUnderTraffic(
  m: Managed,
  app: TrafficApp,
  kills: number,
): Promise<{ down: Account; up: Account }> {
  const line = m.whole.simulator.line(1);
  const got: Buffer[] = [];
  let written = 0;
  let injected = 0;
  let rest: Buffer = Buffer.alloc(0);
  const traffic = setInterval(() => {
    got.push(taken(app));
    if (rest.length === 0) {
      rest = numbered(written, 100);
      written += 100;
    }
    rest = rest.subarray(app.write(rest));
    if (line.inputQueue === 0) {
      line.inject(numbered(injected, 50));
      injected += 50;
    }
  }, 1);
  try {
    for (let kill = 0; kill < kills; kill++) {
      await m.kill9();
      await new Promise((resolve) => setTimeout(resolve, 50 + 17 * (kill % 7)));
    }
  } finally {
    clearInterval(traffic);
  }
  // What follows proves that the port goes on, and that nothing is still under way.
  const end = Buffer.from('end\n');
  while (!m.whole.recorder().bytes.subarray(-4).equals(end)) {
    rest = rest.subarray(app.write(rest));
    if (rest.length === 0) rest = end.subarray(app.write(end));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  line.inject(end);
  while (!Buffer.concat(got).subarray(-4).equals(end)) {
    got.push(taken(app));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const down = audit(m.whole.recorder().bytes);
  const up = audit(Buffer.concat(got));
  expect(down).toMatchObject({ disorder: 0, last: written - 1 });
  expect(up).toMatchObject({ disorder: 0, last: injected - 1 });
  return { down, up };
}
