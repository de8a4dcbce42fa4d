// Joins the tty's channel and the connection, so that bytes flow; or do not yet, where the device must be told first.
import type { Link } from '../link/link.js';
import type { ModemLines } from '../serial/line.js';
import type { Tty } from '../tty/tty.js';
import type { LineSync } from './line-sync.js';
import type { State } from './machine.js';
import type { OfflineOutput } from './offline-output.js';

/** Of a device whose lines nobody can know: an application that waits for one must not wait for ever. */
const ASSUMED: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };

export class Joint {
  constructor(
    readonly tty: Tty,
    readonly offline: OfflineOutput,
    readonly lines: LineSync,
  ) {}

  attach(link: Link | undefined, state: State): void {
    if (!link) return;
    const { channel } = this.tty;
    this.offline.end();
    this.#assumeLines(link);
    if (link.dataFd >= 0 && !channel.attached) channel.attach(link.dataFd);
    channel.resume('up');
    if (hasNoUser(state)) channel.stop('down');
    else channel.resume('down');
  }

  /** The connection of an earlier process: what the device was not told yet is told before a byte flows. */
  rejoin(link: Link | undefined, state: State): void {
    if (!link) return;
    const { channel } = this.tty;
    this.offline.end();
    this.#assumeLines(link);
    channel.attach(link.dataFd);
    if (hasNoUser(state)) channel.resume('up');
    else this.lines.resume();
  }

  #assumeLines({ modemLines }: Link): void {
    if (modemLines === undefined && this.tty.capabilities.modemLines)
      this.tty.report({ type: 'lines', lines: ASSUMED });
  }
}

/** Where nobody has the tty open, what the next opener writes waits until the device has been told its line state. */
function hasNoUser({ name }: State): boolean {
  return name === 'kept' || name === 'lingering';
}
