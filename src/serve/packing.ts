// How bytes of the line become segments of the network, as the device servers do it: by length, by delimiters, by silence.
// The packer is pure and is given the time; Packing runs its timer. What is held is never more than 1 KB, and no byte is lost but
// a delimiter that is to be stripped. What comes first counts: a full buffer, then the packet length, then delimiters, then silence.
import type { Clock, Timer } from '../base/clock.js';
import type { PackingRules } from '../config/packing.js';
import { bitsPerCharacter, type LineSettings } from '../serial/line.js';

const BUFFER_BYTES = 1024;
/** What came while nobody read is read first, however busy a process is that starts. */
const FIRST_SILENCE_MS = 100;

export class Packer {
  readonly #rules: PackingRules;
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #length = 0;
  /** Bytes still to come after a delimiter; 0: none was found. */
  #owed = 0;
  #lastWasFirst = false;

  constructor(rules: PackingRules) {
    this.#rules = rules;
  }

  /** Bytes that wait for more. */
  get held(): number {
    return this.#length;
  }

  /** Returns what is to be sent, a packet each. */
  take(bytes: Uint8Array): Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (const byte of bytes) {
      this.#buffer[this.#length++] = byte;
      if (this.#isComplete(byte) || this.#length === BUFFER_BYTES) this.#cut(packets);
    }
    const { packetLength, delimiter, forceTransmit } = this.#rules;
    // Nothing says when a packet is complete: what came together goes together.
    if (packetLength === 0 && delimiter.length === 0 && forceTransmit === 0) this.#cut(packets);
    return packets;
  }

  /** Silence: what waits is a packet. */
  flush(): Uint8Array[] {
    const packets: Uint8Array[] = [];
    this.#owed = 0;
    this.#cut(packets);
    return packets;
  }

  /** A copy of what waits: given to another packer of these rules, it waits there as it does here. */
  get waiting(): Uint8Array {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  /** What waits goes nowhere. */
  drop(): void {
    this.#length = 0;
    this.#owed = 0;
    this.#lastWasFirst = false;
  }

  #isComplete(byte: number): boolean {
    const { packetLength, delimiterProcess } = this.#rules;
    if (packetLength > 0) return this.#length >= packetLength;
    if (this.#owed > 0) {
      this.#delimits(byte);
      return --this.#owed === 0;
    }
    if (!this.#delimits(byte)) return false;
    if (delimiterProcess === 'strip') this.#length = Math.max(0, this.#length - this.#rules.delimiter.length);
    else this.#owed = delimiterProcess;
    return this.#owed === 0;
  }

  #delimits(byte: number): boolean {
    const [first, second] = this.#rules.delimiter;
    if (first === undefined) return false;
    if (second === undefined) return byte === first;
    const both = this.#lastWasFirst && byte === second;
    this.#lastWasFirst = !both && byte === first;
    return both;
  }

  #cut(packets: Uint8Array[]): void {
    if (this.#length > 0) packets.push(Buffer.from(this.#buffer.subarray(0, this.#length)));
    this.#length = 0;
  }
}

/** Milliseconds of silence that end a frame of Modbus RTU (Modbus over serial line V1.02, 2.5.1.1). */
export function modbusSilenceMs(settings: LineSettings): number {
  const { baudRate } = settings;
  return baudRate > 19_200 || baudRate <= 0 ? 1.75 : (3.5 * bitsPerCharacter(settings) * 1000) / baudRate;
}

export class Packing {
  readonly #rules: PackingRules;
  readonly #clock: Clock;
  readonly #packer: Packer;
  #settings: () => LineSettings = () => {
    throw new Error('packing was not started');
  };
  #send: (packet: Uint8Array) => void = () => {};
  #timer: Timer | undefined;

  constructor(rules: PackingRules, clock: Clock) {
    this.#rules = rules;
    this.#clock = clock;
    this.#packer = new Packer(rules);
  }

  start(settings: () => LineSettings, send: (packet: Uint8Array) => void): void {
    this.#settings = settings;
    this.#send = send;
  }

  take(bytes: Uint8Array, atLeastMs = 0): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const packet of this.#packer.take(bytes)) this.#send(packet);
    const { silenceMs } = this;
    if (this.#packer.held === 0 || silenceMs === 0) return;
    this.#timer = this.#clock.after(Math.max(silenceMs, atLeastMs), () => {
      this.#timer = undefined;
      for (const packet of this.#packer.flush()) this.#send(packet);
    });
  }

  /** What waited in another process waits on; its silence was not heard, so that no frame is cut. */
  goOn(waiting: Uint8Array): void {
    if (waiting.length > 0) this.take(waiting, FIRST_SILENCE_MS);
  }

  /** Nothing is read any more, so that what is heard is no silence: what waits is for `handOver`. */
  pause(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  drop(): void {
    this.pause();
    this.#packer.drop();
  }

  /** Sends nothing any more; returns what waits. */
  handOver(): Uint8Array {
    const { waiting } = this.#packer;
    this.drop();
    return waiting;
  }

  /** What waits is sent: whoever hears knows that it is whole. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const packet of this.#packer.flush()) this.#send(packet);
  }

  /** That ends a packet, at the present settings; 0: no silence does. */
  get silenceMs(): number {
    const { forceTransmit } = this.#rules;
    return forceTransmit === 'modbus-rtu' ? modbusSilenceMs(this.#settings()) : forceTransmit;
  }
}
