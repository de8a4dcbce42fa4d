// Traffic under faults: an application that writes numbered records all the time, and the account that is made at the
// end: every byte was given to a socket or is in a drop counter, and what arrived is each record once and in order.
import { expect } from 'vitest';
import type { PortView } from '../../src/api/types.js';
import { eventually, type Whole } from './e2e.js';
import { checkRecords, RECORD_BYTES, RecordSource } from './e2e-records.js';
import type { App } from './rig.js';

export const up = (view: PortView) => view.state === 'up';

/** Writes records as fast as they are taken until stopped, and throws away what comes back. */
export class Traffic {
  readonly source = new RecordSource();
  #running = true;
  #rest: Uint8Array = new Uint8Array(0);
  readonly #done: Promise<void>;

  constructor(
    readonly app: App,
    readonly paceMs: number,
    readonly perTurn: number,
  ) {
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#running || this.#rest.length > 0) {
      if (this.#rest.length === 0) this.#rest = this.source.take(this.perTurn);
      this.#rest = this.#rest.subarray(this.app.write(this.#rest));
      if (this.app.read() === undefined) throw new Error('hung up');
      await new Promise((resolve) => setTimeout(resolve, this.paceMs));
    }
  }

  /** Ends with a whole record. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }
}

/** What the device's TCP had acknowledged and its program had not read is lost with it; the look-ahead bounds it. */
const TAKEN_BY_THE_DEVICE = 4096 + 4 * RECORD_BYTES;

/** All that was written was given to a socket or is in a counter; what a socket was given arrived, but for the cuts. */
export async function account(whole: Whole, traffic: Traffic, cuts: number): Promise<PortView> {
  await traffic.stop();
  await whole.portIs('has nothing parked', (v) => up(v) && v.sent.parkedBytes === 0, 'ttyNP0', 15_000);
  let last = -1;
  await eventually('the line is quiet', async () => {
    const now = whole.recorder().bytes.length;
    const quiet = now === last && whole.simulator.line(1).outputQueue === 0;
    last = now;
    if (!quiet) await new Promise((resolve) => setTimeout(resolve, 50));
    return quiet;
  });
  const arrived = whole.recorder().bytes;
  expect(checkRecords(arrived)).toMatchObject({ twice: 0, outOfOrder: 0 });
  const accounted = ({ sent, drops }: PortView) =>
    sent.bytes + drops.offline + drops.held + drops.flushed + drops.closing;
  // The daemon may have to be let to read the last that was written.
  const view = await whole.portIs('has all of it', (v) => accounted(v) >= traffic.source.bytes);
  const { linkLost } = view.drops;
  expect(accounted(view)).toBe(traffic.source.bytes);
  expect(view.sent.bytes - arrived.length).toBeLessThanOrEqual(linkLost + cuts * TAKEN_BY_THE_DEVICE);
  expect(view.sent.bytes - arrived.length).toBeGreaterThanOrEqual(0);
  return view;
}
