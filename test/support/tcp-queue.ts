// What the kernel holds of a TCP connection of this machine (proc(5), /proc/net/tcp).
import { readFileSync } from 'node:fs';

/** Bytes that have arrived at the end with this local port, and its program has not read. 0: none, or no such connection. */
export function receiveQueue(localPort: number, remotePort: number): number {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  const line = new RegExp(
    `^ *\\d+: [0-9A-F]{8}:${hex(localPort)} [0-9A-F]{8}:${hex(remotePort)} 01 [0-9A-F]{8}:([0-9A-F]{8}) `,
    'm',
  );
  const [, queue = '0'] = line.exec(readFileSync('/proc/net/tcp', 'latin1')) ?? [];
  return Number.parseInt(queue, 16);
}
