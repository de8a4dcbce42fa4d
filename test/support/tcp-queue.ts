// What the kernel holds of a TCP connection of this machine (proc(5), /proc/net/tcp).
import { readFileSync } from 'node:fs';

/** Bytes that one end has written and the program at the other has not read. 0: none, or no such connection. */
export function unreadBytes(fromPort: number, toPort: number): number {
  const table = readFileSync('/proc/net/tcp', 'latin1');
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  const queues = (local: number, remote: number) => {
    const found = table.match(
      new RegExp(`: [0-9A-F]{8}:${hex(local)} [0-9A-F]{8}:${hex(remote)} 01 ([0-9A-F]{8}):([0-9A-F]{8}) `),
    );
    return { sent: Number.parseInt(found?.[1] ?? '0', 16), received: Number.parseInt(found?.[2] ?? '0', 16) };
  };
  return queues(fromPort, toPort).sent + queues(toPort, fromPort).received;
}
