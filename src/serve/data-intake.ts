// The data socket of one client: bytes from the network to the port, and only as many as the port has room for, so that
// a line that stands shuts the TCP window; bytes from the port to the network, and only as many as TCP has room for.
// Never changes a byte and knows no commands. Follows docs/protocol/realcom.md section 5.
import type { Socket } from 'node:net';
import type { KeptIntake } from './handover.js';
import type { PortLine } from './shared-line.js';

/** What `takeAll` may hold beyond the port's own queue. */
const ELASTIC_BYTES = 64 * 1024;

/** What it needs of the port. */
export type IntakeLine = Pick<PortLine, 'write' | 'pauseInput' | 'resumeInput'>;

export class DataIntake {
  readonly #socket: Socket;
  readonly #uart: IntakeLine;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #takingAll = 0;
  #closed = false;
  #received = 0;
  #sent = 0;
  #done: (() => void) | undefined;

  /** @param kept goes on where another one was; `portWritable` begins it */
  constructor(socket: Socket, uart: IntakeLine, kept?: KeptIntake) {
    this.#socket = socket;
    this.#uart = uart;
    this.#received = kept?.received ?? 0;
    this.#sent = kept?.sent ?? 0;
    if (kept !== undefined && kept.waiting.length > 0) {
      this.#pending.push(kept.waiting);
      this.#pendingBytes = kept.waiting.length;
    }
    // A 'readable' stream reads one chunk ahead and then stops reading its descriptor until somebody calls read().
    socket.on('readable', () => this.#pull());
    socket.on('drain', () => uart.resumeInput());
  }

  /** Bytes from the client that the port has not accepted yet. */
  get waiting(): number {
    return this.#pendingBytes + (this.#closed ? 0 : this.#socket.readableLength);
  }

  /** Bytes for the client that its TCP has not taken yet. */
  get unsent(): number {
    return this.#closed ? 0 : this.#socket.writableLength;
  }

  /** Totals: taken from the network, and given to it. */
  get received(): number {
    return this.#received;
  }

  get sent(): number {
    return this.#sent;
  }

  /** The port has room again. */
  portWritable(): void {
    while (this.#pending.length > 0) {
      const first = this.#pending[0] ?? new Uint8Array(0);
      const accepted = this.#uart.write(first);
      this.#pendingBytes -= accepted;
      if (accepted < first.length) {
        this.#pending[0] = first.subarray(accepted);
        return;
      }
      this.#pending.shift();
    }
    this.#given();
    this.#pull();
  }

  /** From the line. */
  fromPort(bytes: Uint8Array): void {
    if (this.#closed || this.#socket.destroyed) return;
    this.#sent += bytes.length;
    if (!this.#socket.write(bytes)) this.#uart.pauseInput();
  }

  /**
   * Takes everything that already is in the data socket, whether the port has room or not: a command that must not
   * overtake data (new settings, break, flush, a question for the queue) waits for this.
   *
   * The command came in the poll phase of the event loop, and reading starts when this asks for it; so the socket is
   * read in the poll phase of the *next* turn. The first immediate runs at the end of this turn, the second at the end
   * of the next: after it, one read has been tried. It goes on until a turn brings nothing, or the bound is reached: a
   * client that keeps sending cannot keep its own command waiting, and the queue is then not empty anyway.
   */
  async takeAll(): Promise<void> {
    this.#takingAll++;
    try {
      let before: number;
      do {
        before = this.#received;
        this.#pull();
        await nextTurn();
        await nextTurn();
        this.#pull();
      } while (!this.#closed && this.#received > before && this.#pendingBytes < ELASTIC_BYTES);
    } finally {
      this.#takingAll--;
    }
  }

  /** Drops what the port has not accepted; returns how many bytes. */
  drop(): number {
    const dropped = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#given();
    return dropped;
  }

  /** The client has said all that it had to say and is gone: what the port has not accepted goes to it still, then `done`. */
  finish(done: () => void): void {
    this.#closed = true;
    this.#uart.resumeInput();
    this.#done = done;
    if (this.#pending.length === 0) this.#given();
  }

  /** The socket is gone, or about to be. */
  close(): void {
    this.#closed = true;
    this.drop();
    this.#uart.resumeInput();
  }

  /**
   * Does no more.
   * @param unread what the socket had read
   */
  handOver(unread: Uint8Array): KeptIntake {
    this.#closed = true;
    const waiting = Buffer.concat([...this.#pending, unread]);
    return { waiting, received: this.#received + unread.length, sent: this.#sent };
  }

  #given(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  #pull(): void {
    while (!this.#closed && this.#mayRead()) {
      const chunk: unknown = this.#socket.read();
      if (!(chunk instanceof Uint8Array)) return;
      this.#received += chunk.length;
      this.#give(chunk);
    }
  }

  #mayRead(): boolean {
    return this.#pending.length === 0 || (this.#takingAll > 0 && this.#pendingBytes < ELASTIC_BYTES);
  }

  #give(chunk: Uint8Array): void {
    const accepted = this.#pending.length === 0 ? this.#uart.write(chunk) : 0;
    if (accepted === chunk.length) return;
    this.#pending.push(chunk.subarray(accepted));
    this.#pendingBytes += chunk.length - accepted;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
