// What somebody who watches the wire of a simulated port sees: every byte with the settings that were in force when
// its last bit left. Never part of the port's own behaviour.
import type { LineSettings, OutputLines, Queue } from '../serial/line.js';

/** All times are the clock's milliseconds. Called synchronously; must not call the port back. */
export interface UartObserver {
  /** Bytes that have left the port. `settings` were in force for every one of them. */
  transmitted?(bytes: Uint8Array, settings: LineSettings, atMs: number): void;
  settings?(settings: LineSettings, atMs: number): void;
  lines?(lines: OutputLines, atMs: number): void;
  break?(on: boolean, atMs: number): void;
  /** `dropped`: bytes of both queues that were thrown away. */
  flushed?(queue: Queue, dropped: number, atMs: number): void;
  transmitter?(on: boolean, atMs: number): void;
}
