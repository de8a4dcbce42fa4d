// Keeps what left a simulated line: every byte with the settings that were in force for it, and what else happened.
// For tests only: it grows without bound.
import type { LineSettings, OutputLines, Queue } from '../../src/serial/line.js';
import type { UartObserver } from '../../src/uart/observer.js';

export type LineRecord =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array; readonly settings: LineSettings; readonly atMs: number }
  | { readonly type: 'settings'; readonly settings: LineSettings; readonly atMs: number }
  | { readonly type: 'lines'; readonly lines: OutputLines; readonly atMs: number }
  | { readonly type: 'break'; readonly on: boolean; readonly atMs: number }
  | { readonly type: 'flush'; readonly queue: Queue; readonly dropped: number; readonly atMs: number }
  | { readonly type: 'transmitter'; readonly on: boolean; readonly atMs: number };

export class LineRecorder implements UartObserver {
  readonly records: LineRecord[] = [];
  readonly #waiting = new Set<{ readonly done: () => boolean; readonly resolve: () => void }>();

  /** All bytes that left, in order. */
  get bytes(): Buffer {
    return Buffer.concat(this.records.flatMap((record) => (record.type === 'bytes' ? [record.bytes] : [])));
  }

  /** The rate of each byte that left. */
  get rates(): number[] {
    return this.records.flatMap((record) =>
      record.type === 'bytes' ? Array.from(record.bytes, () => record.settings.baudRate) : [],
    );
  }

  of<T extends LineRecord['type']>(type: T): Extract<LineRecord, { type: T }>[] {
    return this.records.filter((record): record is Extract<LineRecord, { type: T }> => record.type === type);
  }

  /** Resolves as soon as `done` is true; looked at after each record. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add({ done, resolve });
      this.#look();
    });
  }

  transmitted(bytes: Uint8Array, settings: LineSettings, atMs: number): void {
    this.#add({ type: 'bytes', bytes, settings, atMs });
  }

  settings(settings: LineSettings, atMs: number): void {
    this.#add({ type: 'settings', settings, atMs });
  }

  lines(lines: OutputLines, atMs: number): void {
    this.#add({ type: 'lines', lines, atMs });
  }

  break(on: boolean, atMs: number): void {
    this.#add({ type: 'break', on, atMs });
  }

  flushed(queue: Queue, dropped: number, atMs: number): void {
    this.#add({ type: 'flush', queue, dropped, atMs });
  }

  transmitter(on: boolean, atMs: number): void {
    this.#add({ type: 'transmitter', on, atMs });
  }

  #add(record: LineRecord): void {
    this.records.push(record);
    this.#look();
  }

  #look(): void {
    for (const waiting of [...this.#waiting]) {
      if (!waiting.done()) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }
}
