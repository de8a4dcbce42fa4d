// What every mode of a served port is to whoever runs it. Opening opens the serial port and listens; closing leaves
// nothing of either. What happens is told by PortEvents (real-com.ts), which all modes share.

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
  readonly clients: readonly ServedClient[];
  /** Rejects with a Fault; nothing is left open then. */
  open(): Promise<void>;
  /** Idempotent. Never rejects. */
  close(): Promise<void>;
}
