// What every mode of a served port is to whoever runs it, and what all of them are told. Opening opens the serial port and
// listens; closing leaves nothing of either.
import type { Clock } from '../base/clock.js';
import type { Fault } from '../base/fault.js';
import type { PackingRules } from '../config/packing.js';
import type { Uart } from '../uart/uart.js';
import type { KeptServer, ServerHandover } from './handover.js';
import type { ListenHints } from './listener.js';
import type { PortTrace } from './port-trace.js';
import type { ClientEvent, SocketKind } from './real-com-client.js';
import type { LineArbitration } from './shared-line.js';

export type PortEvent =
  | ClientEvent
  /** `outgoing`: it was we who connected. */
  | { readonly type: 'connected'; readonly kind: SocketKind; readonly peer: string; readonly outgoing?: boolean }
  | { readonly type: 'disconnected'; readonly peer: string; readonly reason: string }
  /** Another host has the port: it waits a moment for its place. */
  | { readonly type: 'waits'; readonly kind: SocketKind; readonly peer: string }
  /** It has waited in vain, and is closed. */
  | { readonly type: 'busy'; readonly kind: SocketKind; readonly peer: string }
  /** Not one of those who may connect: closed before a byte was answered. */
  | { readonly type: 'denied'; readonly kind: SocketKind; readonly peer: string }
  | { readonly type: 'failed'; readonly fault: Fault };

/** Times in milliseconds. What is absent has a default of the mode. */
export interface PortServerOptions {
  readonly clock: Clock;
  readonly address: string;
  readonly uart: Uart;
  /** TCP keep-alive begins after so long without a sign of a client; 0: never. */
  readonly aliveCheckMs?: number;
  /** DTR and RTS while nobody is connected. */
  readonly linesWhenFree?: 'low' | 'high';
  /** How long a client waits for a place while all are taken; default 500. */
  readonly busyHoldMs?: number;
  /** How bytes of the line are put together; default: they go as they come. */
  readonly packing?: PackingRules | undefined;
  /** Whose connections are taken, by address; default everybody's. */
  readonly admits?: (address: string) => boolean;
  readonly hints?: ListenHints;
  event?(event: PortEvent): void;
  readonly trace?: PortTrace | undefined;
}

/** Of modes that several clients may share. */
export interface SharedPortOptions extends PortServerOptions {
  /** Clients at a time; default 1. */
  readonly maxConnection?: number;
  /** Of them, how many from one address; default all. */
  readonly maxPerAddress?: number | undefined;
  /** A client that does not read loses data; default: it holds up the line, and so the others. */
  readonly ignoreJammedIp?: boolean;
  /** One request at a time on the line; default: no. */
  readonly arbitration?: Omit<LineArbitration, 'clock'> | null | undefined;
}

export interface ServedClient {
  readonly address: string;
  /** Wall clock. */
  readonly sinceMs: number;
  /** Bytes taken from it, and given to its TCP. */
  readonly received: number;
  readonly sent: number;
  /** From the line, while it did not read. */
  readonly dropped: number;
}

export interface PortServer {
  /** The real ones once it is open. */
  readonly tcpPorts: readonly number[];
  /** Of modes that have such. */
  readonly udpPorts?: readonly number[];
  readonly clients: readonly ServedClient[];
  /** Of a line that is arbitrated: requests that nothing came for, and bytes of the line that nobody waited for, dropped. */
  readonly arbitrated?: { readonly timeouts: number; readonly late: number } | undefined;
  /**
   * Rejects with a Fault; nothing is left open then.
   * @param kept of a server of the same configuration; its descriptors are this one's from now on
   */
  open(kept?: KeptServer): Promise<void>;
  /** Of the open server: what a process that is killed leaves. */
  readonly descriptors: { readonly uart: number | undefined; readonly listeners: readonly number[] };
  /**
   * Does no more, and leaves everything as it is for the next process. A client that reads nothing for `atMostMs` is disconnected.
   * undefined: it is of a kind that cannot be kept; it is closed then. Never rejects.
   */
  handOver(atMostMs: number): Promise<ServerHandover | undefined>;
  /** Idempotent. Never rejects. */
  close(): Promise<void>;
}
