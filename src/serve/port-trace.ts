// What a trace is shown of a served port beside its events: bytes and commands, and whose they are. Whoever has something to
// show asks `on` first, so that nothing is made for nobody; nothing is kept, and nobody waits for who looks on.

export interface PortTrace {
  /** Somebody looks on. */
  readonly on: boolean;
  /**
   * sent: towards the line, as it, or its queue, took them. The bytes are read before this returns.
   * @param peer "192.0.2.1:40000"; received: all that are given them, undefined where nobody is
   */
  bytes(direction: 'sent' | 'received', bytes: Uint8Array, peer: string | undefined): void;
  /** sent: a client's command; received: what it is answered or told. */
  command(direction: 'sent' | 'received', bytes: Uint8Array, text: string, peer: string): void;
  event(text: string): void;
}
