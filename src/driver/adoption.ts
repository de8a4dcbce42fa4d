// The connection of an earlier process: gone on with where it is this port's and whole, else ended, so that no device is
// left with a host that nobody is. Decides nothing about the port.
import { messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { Link, LinkEvents } from '../link/link.js';
import type { ChannelCounters } from '../native/channel.js';
import { closeFd, endConnection } from '../native/socket.js';
import { type KeptPort, parseKeptPort } from './kept-port.js';
import type { AdoptedPort, SessionOptions } from './session-options.js';

export interface TakenOver {
  /** undefined: the record is of no version that we know. */
  readonly kept: KeptPort | undefined;
  readonly link: Link | undefined;
}

export function takeOver(
  { record, connection }: AdoptedPort,
  { keeper, makeLink, log }: Pick<SessionOptions, 'keeper' | 'makeLink' | 'log'>,
  events: (link: Link) => LinkEvents,
): TakenOver {
  const kept = parseKeptPort(record);
  if (!connection) return { kept, link: undefined };
  if (!kept || kept.target !== keeper?.target || kept.link === undefined) {
    for (const fd of [connection.data, connection.command]) {
      if (fd === undefined) continue;
      endConnection(fd);
      closeFd(fd);
    }
    keeper?.gone();
    return { kept, link: undefined };
  }
  const link = makeLink();
  try {
    link.adopt(events(link), { ...connection, state: kept.link });
    return { kept, link };
  } catch (error) {
    log.log('warn', `the connection is made anew: ${messageOf(error)}`);
    keeper.gone();
    return { kept, link: undefined };
  }
}

/** A process that was killed in the middle of a read or a write may have lost what it had in hand. */
export function sayLost(counters: ChannelCounters, log: Log): void {
  const { downSuspected, upSuspected, downReadCut, upReadCut } = counters;
  const parts = [
    downSuspected > 0 ? `${downSuspected} bytes to the device` : '',
    upSuspected > 0 ? `${upSuspected} bytes from the device` : '',
    downReadCut > 0 ? 'what one read from the application took' : '',
    upReadCut > 0 ? 'what one read from the device took' : '',
  ].filter((part) => part !== '');
  if (parts.length === 0) return;
  const bytes = downSuspected + upSuspected;
  log.log('warn', `the daemon was killed while data moved; may be lost: ${parts.join(', ')}`, {
    event: 'dropped',
    bytes,
  });
}
