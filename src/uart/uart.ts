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

export interface Uart {
  /** For logs: "loopback 1", "ttyS0". */
  readonly name: string;
  /** What is in force. */
  readonly settings: LineSettings;
  readonly outputLines: OutputLines;
  readonly modemLines: ModemLines;
  /** Bytes accepted and not transmitted yet, the one that is leaving now included. */
  readonly outputQueue: number;
  /** Bytes received and not yet told by `received`. */
  readonly inputQueue: number;

  /** Rejects with a Fault where the port cannot be had; it is then closed. */
  open(events: UartEvents): Promise<void>;
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
