// What becomes of the bytes that an application writes while there is no connection: kept for the first one, then by
// `offlineData`. The pump does it; this sets its mode and counts what goes.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Tty } from '../tty/tty.js';
import { HoldAge } from './hold-age.js';
import { HOLD_BYTES, type PortPolicy } from './policy.js';
import type { PortRecord } from './port-record.js';

export class OfflineOutput {
  #age: HoldAge | undefined;

  constructor(
    readonly tty: Tty,
    readonly policy: PortPolicy,
    readonly record: PortRecord,
    readonly clock: Clock,
    readonly log: Log,
  ) {}

  /** Unjoins the network; what is written stays where it is, and a writer that fills the PTY blocks. */
  keep(): void {
    this.end();
    this.tty.channel.detach({ mode: 'block' });
  }

  /** From now on the configured policy rules. */
  obeyPolicy(): void {
    this.end();
    const { channel } = this.tty;
    channel.resume('down');
    if (this.policy.offlineData !== 'hold') {
      channel.detach({ mode: this.policy.offlineData });
      return;
    }
    channel.detach({ mode: 'hold', bytes: HOLD_BYTES });
    this.#age = new HoldAge(channel, this.clock, this.policy.holdTimeMs, (n) => this.record.dropped('held', n));
  }

  /** The bytes have somewhere to go again, or nobody is there to write any. */
  end(): void {
    this.#age?.stop();
    this.#age = undefined;
  }

  /** Drops what was not transmitted, counts it and says so. */
  drop(): void {
    this.end();
    const bytes = this.tty.channel.drop('down');
    if (bytes === 0) return;
    this.record.dropped('closing', bytes);
    this.log.log('warn', `${bytes} bytes that the application wrote were not transmitted`, { event: 'dropped' });
  }
}
