// What the telnet and RFC 2217 tests share: events with their data joined, so that where bytes were cut does not show.
import { TelnetDecoder, type TelnetEvent } from '../../../../src/protocol/telnet/decoder.js';
import { concat, toHex } from '../realcom/support.js';

export { concat, cut, hex, toHex } from '../realcom/support.js';

/** One line per event: "data 41 ff", "251 44", "sub 44: 01 00", "command 246", "malformed". */
export function shown(events: readonly TelnetEvent[]): string[] {
  const lines: string[] = [];
  let data: Uint8Array[] = [];
  const flush = () => {
    if (data.length > 0) lines.push(`data ${toHex(concat(data))}`);
    data = [];
  };
  for (const event of events) {
    if (event.type === 'data') {
      data.push(event.bytes);
      continue;
    }
    flush();
    if (event.type === 'command') lines.push(`command ${event.code}`);
    else if (event.type === 'negotiation') lines.push(`${event.verb} ${event.option}`);
    else if (event.type === 'subnegotiation') lines.push(`sub ${event.option}: ${toHex(event.body)}`);
    else lines.push('malformed');
  }
  flush();
  return lines;
}

export function decodeAll(parts: readonly Uint8Array[], max?: number): string[] {
  const decoder = new TelnetDecoder(max);
  return shown(parts.flatMap((part) => decoder.decode(part)));
}
