// One local serial port behind one interface: a loop plug, a program, a port of this machine.
// It speaks the dictionary of serial/line.ts and knows no network and no protocol.
// Bytes are bounded in both directions: what a port cannot take it does not accept, and it says when it can again.
import type { Fault } from '../base/fault.js';
import type { LineReport, LineRequest, LineSettings, ModemLines, OutputLines } from '../serial/line.js';

/** Events of an open port. Delivered from the event loop or a microtask, never from inside a call of the port. */
export interface UartEvents {
  /** From the line. The bytes belong to the receiver: they are not overwritten later. Not called while input is paused. */
  received(bytes: Uint8Array): void;
  /** Modem lines, line errors, a received break. Never `refused`: that is the answer of `request`. */
  report(report: LineReport): void;
  /** There is room again after a `write` that accepted less than it was given. */
  writable(): void;
  /** The output queue became empty: the last bit has left. */
  drained(): void;
  /** The port is gone; nothing follows and `close` is still to be called. */
  failed(fault: Fault): void;
}

/** A port that another process can go on with: its descriptor, and what is to be known of it beside. */
export interface KeptUart {
  readonly fd: number;
  /** Plain values and bytes; undefined: its process was killed, and nothing is known. */
  readonly state: UartState | undefined;
}

export interface UartState {
  readonly settings: LineSettings;
  readonly outputLines: OutputLines;
  readonly modemLines: ModemLines;
  /** Accepted, and not given to the driver. */
  readonly output: Uint8Array;
  /** The transmitter was stopped by a request. */
  readonly stopped: boolean;
  readonly breaking: boolean;
  /** The driver waited with a break that nobody asks for any more, or is to be asked for again: it may have begun after all. */
  readonly mayBreak?: boolean;
  /** Of the driver, where it counts: what is new since then is told. */
  readonly counters:
    | Readonly<Record<'parity' | 'framing' | 'overrun' | 'bufferOverrun' | 'breaks', number>>
    | undefined;
  /** Of a mark in the input that was read in part (break-marks.ts). */
  readonly marked: 'none' | 'mark' | 'mark and zero';
}

export interface Uart {
  /** For logs: "loopback 1", "ttyS0". */
  readonly name: string;
  /** What is in force. */
  readonly settings: LineSettings;
  readonly outputLines: OutputLines;
  readonly modemLines: ModemLines;
  /** Bytes accepted and not transmitted yet, the one that is leaving now included. It may be known late that they have left; then 1. */
  readonly outputQueue: number;
  /** Bytes received and not yet told by `received`. */
  readonly inputQueue: number;

  /**
   * Rejects with a Fault where the port cannot be had; it is then closed.
   * @param kept goes on with this one, where it is of a kind that can be kept; the descriptor is the port's from now on
   */
  open(events: UartEvents, kept?: KeptUart): Promise<void>;
  /** Its descriptor while it is open, which stays its own; absent: it is of a kind that cannot be kept. */
  readonly descriptor?: number | undefined;
  /**
   * Does no more, and leaves the line as it is: no event follows, and the descriptor is the caller's. To be called when no request
   * is under way but a break that waits for its beginning, which the caller asks the next one for again. undefined: it is not open,
   * or cannot be kept.
   */
  handOver?(): KeptUart | undefined;
  /**
   * Carries a request out, in the order of the calls. Resolves with false where the port refuses it and keeps what it
   * had. Settings apply at once: bytes that are queued leave at the new rate, so who minds drains first.
   * A baud rate of 0 drops DTR and RTS and keeps the rate (termios B0).
   */
  request(request: LineRequest): Promise<boolean>;
  /** Takes what there is room for and returns how many bytes that were; `writable` follows where it was not all. Copies. */
  write(bytes: Uint8Array): number;
  /** The receiver has no room: nothing more is told until resumed; the port throttles its peer or overruns. */
  pauseInput(): void;
  resumeInput(): void;
  /** Idempotent. Drops both queues, ends a break, lowers DTR and RTS. No event follows. */
  close(): Promise<void>;
}
