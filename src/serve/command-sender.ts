// The sending half of one command socket: whole frames, one write each, in order. Also what a test may do to it: be
// mute, answer late, answer byte by byte. Never joins two frames: the vendor's daemon parses each read by itself
// (docs/protocol/realcom.md section 3.1).
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';

/** How the answers of a port are tampered with. All off: an ordinary device server. */
export interface AnswerFaults {
  /** Commands are not read as such, and nothing is answered. */
  mute: boolean;
  /** Every frame goes out so much later. */
  delayMs: number;
  /** Every byte is a segment of its own. */
  byteByByte: boolean;
}

/** A host that does not read its answers does not decide how many we keep. */
const MAX_UNREAD = 64 * 1024;

export class CommandSender {
  readonly #late: { readonly dueMs: number; readonly bytes: Uint8Array }[] = [];
  #single: Uint8Array[] = [];
  #timer: Timer | undefined;
  #closed = false;

  constructor(
    private readonly socket: Socket,
    private readonly clock: Clock,
    private readonly faults: AnswerFaults,
  ) {}

  send(bytes: Uint8Array): void {
    if (this.#closed || this.faults.mute) return;
    if (this.faults.delayMs === 0 && this.#late.length === 0) {
      this.#write(bytes);
      return;
    }
    this.#late.push({ dueMs: this.clock.now() + this.faults.delayMs, bytes });
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#late.length = 0;
    this.#single = [];
  }

  #arm(): void {
    const first = this.#late[0];
    if (this.#timer !== undefined || first === undefined || this.#closed) return;
    this.#timer = this.clock.after(Math.max(0, first.dueMs - this.clock.now()), () => {
      this.#timer = undefined;
      while (this.#late[0] !== undefined && this.#late[0].dueMs <= this.clock.now()) {
        const next = this.#late.shift();
        if (next !== undefined && !this.faults.mute) this.#write(next.bytes);
      }
      this.#arm();
    });
  }

  #write(bytes: Uint8Array): void {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    if (this.faults.byteByByte || this.#single.length > 0) {
      const idle = this.#single.length === 0;
      for (const byte of bytes) this.#single.push(Uint8Array.of(byte));
      if (idle) this.#writeSingle();
      return;
    }
    if (this.socket.writableLength > MAX_UNREAD) this.socket.destroy();
    else this.socket.write(bytes);
  }

  #writeSingle(): void {
    const next = this.#single[0];
    if (next === undefined || this.#closed || this.socket.destroyed) return;
    this.socket.write(next, () => {
      this.#single.shift();
      this.#writeSingle();
    });
  }
}
