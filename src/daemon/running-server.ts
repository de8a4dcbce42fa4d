// What the ports of one device server share: the pace of their attempts, its names, and whether it knows the preamble.
import type { Resolver } from '../driver/resolver.js';
import type { ServerGate } from '../driver/server-gate.js';

export interface RunningServer {
  readonly address: string;
  readonly gate: ServerGate;
  readonly resolver: Resolver;
  /** ipv6Preamble: auto remembers what the device was found to do. */
  preamble: 'unknown' | 'yes' | 'no';
}
