// An Ethernet modem at a serial line: the terminal's bytes, calls and the time in, effects out. Pure: it owns no socket and no clock, and
// keeps at most two command lines. Commands, registers and answers: constants.ts.
import { informationText, resultText } from './answers.js';
import { type Command, nextCommand } from './command.js';
import {
  ANSWER_MS,
  FLAGS,
  GUARD_UNIT_MS,
  HANG_UP_MS,
  type Result,
  RING_MS,
  RINGS,
  S_AUTO_ANSWER,
  S_BS,
  S_CR,
  S_ESCAPE,
  S_GUARD,
  S_LF,
  S_RINGS,
} from './constants.js';
import type { ModemEffect, ModemOptions } from './effects.js';
import { EscapeWatch } from './escape.js';
import { LineEditor } from './line-editor.js';
import { FACTORY, mayBe, type Profile, profileLines } from './profile.js';

type ModemState =
  | { readonly name: 'idle' }
  | { readonly name: 'ringing'; readonly nextMs: number }
  | { readonly name: 'dialling' }
  | { readonly name: 'online'; readonly watch: EscapeWatch }
  /** Commands, and the connection is kept. */
  | { readonly name: 'escaped' }
  | { readonly name: 'ending'; readonly untilMs: number; readonly result: Result };

/** 'next': the line goes on. 'called': it is over, and told when the call is. */
type Performed = 'next' | 'later' | 'called' | Result;

const IDLE: ModemState = { name: 'idle' };

export class Modem {
  readonly #o: ModemOptions;
  readonly #editor = new LineEditor();
  #state: ModemState = IDLE;
  #profile: Profile;
  #last = '';
  /** Of the line that waits until its profile is saved. */
  #unsaved: string | undefined;
  /** Of the command line: the connection ends with it, and what is told then. */
  #ends: Result | undefined;
  #lastRingMs = Number.NEGATIVE_INFINITY;
  /** Where a line feed may follow that is no character. */
  #justDialled = false;
  #effects: ModemEffect[] = [];

  constructor(options: ModemOptions) {
    this.#o = options;
    this.#profile = options.stored() ?? FACTORY;
  }

  get state(): ModemState['name'] {
    return this.#state.name;
  }

  /** What the terminal is shown as DSR or DCD. */
  get carrier(): boolean {
    return this.#profile.flags['&C'] === 0 || this.isConnected;
  }

  get isConnected(): boolean {
    const { name } = this.#state;
    return name === 'online' || name === 'escaped' || name === 'ending';
  }

  /** When `tick` is to be called. */
  get deadlineMs(): number | undefined {
    switch (this.#state.name) {
      case 'ringing':
        return this.#state.nextMs;
      case 'online':
        return this.#state.watch.untilMs(this.#guardMs);
      case 'ending':
        return this.#state.untilMs;
      default:
        return undefined;
    }
  }

  /** The terminal's bytes, up to the end of a command or of data. `taken`: how many; 0 while it is busy with the ones before. */
  take(bytes: Uint8Array, nowMs: number): { readonly taken: number; readonly effects: readonly ModemEffect[] } {
    let taken = 0;
    while (taken < bytes.length && this.#effects.length === 0 && this.#unsaved === undefined) {
      if (this.#state.name === 'ending') break;
      if (this.#state.name === 'online') taken += this.#data(bytes.subarray(taken), nowMs, this.#state.watch);
      else if (this.#state.name === 'dialling') this.#disturb(bytes[taken++] ?? 0);
      else taken += this.#commands(bytes.subarray(taken), nowMs);
    }
    return { taken, effects: this.#done() };
  }

  tick(nowMs: number): readonly ModemEffect[] {
    const until = this.deadlineMs;
    if (until === undefined || nowMs < until) return [];
    switch (this.#state.name) {
      case 'ringing':
        this.#ring(nowMs);
        break;
      case 'online':
        this.#escape();
        break;
      case 'ending':
        this.#effects.push({ type: 'hang-up' });
        this.#over(this.#state.result);
        break;
      default:
    }
    return this.#done();
  }

  /** Somebody calls; false: it is busy. */
  called(nowMs: number): { readonly taken: boolean; readonly effects: readonly ModemEffect[] } {
    if (this.#state.name !== 'idle') return { taken: false, effects: [] };
    this.#set(S_RINGS, 0);
    // Callers that come and go do not ring more often than one that waits.
    this.#state = { name: 'ringing', nextMs: Math.max(nowMs, this.#lastRingMs + RING_MS) };
    if (this.#answersItself) this.#answer(nowMs);
    return { taken: true, effects: nowMs >= (this.deadlineMs ?? nowMs + 1) ? this.tick(nowMs) : this.#done() };
  }

  /** The caller is gone before it was answered. */
  callerLeft(): void {
    if (this.#state.name === 'ringing') this.#idle();
  }

  dialled(nowMs: number): readonly ModemEffect[] {
    if (this.#state.name === 'dialling') this.#connect(nowMs);
    return this.#done();
  }

  failed(): readonly ModemEffect[] {
    if (this.#state.name === 'dialling') this.#over('NO CARRIER');
    return this.#done();
  }

  /** The other end has ended the connection. */
  carrierLost(): readonly ModemEffect[] {
    if (this.#state.name === 'ending') this.#over(this.#state.result);
    else if (this.isConnected) this.#over('NO CARRIER');
    return this.#done();
  }

  /** The terminal has dropped DTR. */
  dtrDropped(nowMs: number): readonly ModemEffect[] {
    const how = this.#profile.flags['&D'];
    const { name } = this.#state;
    // Whoever takes the line up again begins with a line of its own.
    if (how !== 0) this.#editor.clear();
    if (how === 1 && name === 'online') this.#escape();
    if (how === 2 && (name === 'online' || name === 'escaped')) this.#end(nowMs, 'NO CARRIER');
    if (how === 2 && name === 'dialling') this.#giveUp();
    return this.#done();
  }

  saved(isSaved: boolean, nowMs: number): readonly ModemEffect[] {
    const rest = this.#unsaved;
    this.#unsaved = undefined;
    if (rest === undefined) return [];
    if (isSaved) this.#run(rest, nowMs);
    else this.#finish('ERROR', nowMs);
    return this.#done();
  }

  #done(): readonly ModemEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  // bytes of the terminal

  #data(bytes: Uint8Array, nowMs: number, watch: EscapeWatch): number {
    const guardMs = this.#guardMs;
    const count = watch.heard(bytes, nowMs, this.#register(S_ESCAPE), guardMs);
    this.#effects.push({ type: 'data', bytes: bytes.subarray(0, count) });
    if (guardMs === 0 && watch.untilMs(0) !== undefined) this.#escape();
    return count;
  }

  /** Any character ends the try, as with modems on a telephone line; but the line feed behind the command. */
  #disturb(byte: number): void {
    const follows = this.#justDialled && (byte & 0x7f) === this.#register(S_LF);
    this.#justDialled = false;
    if (!follows) this.#giveUp();
  }

  #commands(bytes: Uint8Array, nowMs: number): number {
    const keys = { cr: this.#register(S_CR), bs: this.#register(S_BS) };
    let echo = '';
    let taken = 0;
    for (const byte of bytes) {
      taken++;
      if (this.#profile.flags.E === 1) echo += String.fromCharCode(...this.#editor.echo(byte, keys));
      const typed = this.#editor.type(byte, keys);
      if (typed === undefined) continue;
      this.#say(echo);
      if (typed.type === 'too-long') this.#result('ERROR');
      else {
        if (typed.type === 'command') this.#last = typed.text;
        this.#run(this.#last, nowMs);
      }
      // A line without an answer costs nothing, but the next may be for the other end.
      return taken;
    }
    this.#say(echo);
    return taken;
  }

  // commands

  /** The line, or what is left of it. */
  #run(line: string, nowMs: number): void {
    let rest = line;
    let how: Performed = 'next';
    while (how === 'next') {
      const next = nextCommand(rest);
      if (next === undefined) how = 'ERROR';
      else if (next.command.type === 'none' && next.rest.trim() === '') how = 'OK';
      else {
        rest = next.rest;
        how = this.#perform(next.command, nowMs);
      }
    }
    if (how === 'later') this.#unsaved = rest;
    else if (how !== 'called') this.#finish(how, nowMs);
  }

  #perform(command: Command, nowMs: number): Performed {
    switch (command.type) {
      case 'none':
        return 'next';
      case 'dial':
        return this.#dial(command.to);
      case 'answer':
        return this.#answerByCommand(nowMs);
      case 'back':
        return this.#goBack(nowMs);
      case 'hang-up':
        if (this.isConnected) this.#ends = 'NO CARRIER';
        if (this.#state.name === 'ringing') this.#refuse();
        return 'next';
      case 'identify':
        this.#inform([this.#o.identity[command.value] ?? '']);
        return 'next';
      case 'view':
        this.#inform(profileLines(this.#profile));
        return 'next';
      case 'reset':
        if (this.isConnected) this.#ends = 'OK';
        this.#profile = this.#o.stored() ?? FACTORY;
        return 'OK';
      case 'factory':
        this.#profile = FACTORY;
        return 'next';
      case 'write':
        this.#effects.push({ type: 'save', profile: this.#profile });
        return 'later';
      case 'flag':
        if (command.value > FLAGS[command.flag]) return 'ERROR';
        this.#profile = { ...this.#profile, flags: { ...this.#profile.flags, [command.flag]: command.value } };
        return 'next';
      case 'show':
        if (!mayBe(command.register, 0)) return 'ERROR';
        this.#inform([String(this.#register(command.register)).padStart(3, '0')]);
        return 'next';
      case 'set':
        if (!mayBe(command.register, command.value)) return 'ERROR';
        this.#set(command.register, command.value);
        return 'next';
      default:
        return command satisfies never;
    }
  }

  #finish(result: Result, nowMs: number): void {
    const ends = this.#ends;
    this.#ends = undefined;
    if (ends === undefined || !this.isConnected) this.#result(result);
    else this.#end(nowMs, result === 'OK' ? ends : result);
  }

  #dial(to: string): 'called' | 'ERROR' {
    if (this.isConnected || !this.#o.isDestination(to)) return 'ERROR';
    if (this.#state.name === 'ringing') this.#refuse();
    this.#state = { name: 'dialling' };
    this.#justDialled = true;
    this.#effects.push({ type: 'dial', to });
    return 'called';
  }

  #answerByCommand(nowMs: number): 'called' | 'ERROR' | 'NO CARRIER' {
    if (this.isConnected) return 'ERROR';
    if (this.#state.name !== 'ringing') return 'NO CARRIER';
    this.#answer(nowMs);
    return 'called';
  }

  #goBack(nowMs: number): 'called' | 'NO CARRIER' {
    if (this.#state.name !== 'escaped' || this.#ends !== undefined) return 'NO CARRIER';
    this.#connect(nowMs);
    return 'called';
  }

  // calls

  get #answersItself(): boolean {
    return this.#register(S_AUTO_ANSWER) > 0 && this.#unsaved === undefined;
  }

  #ring(nowMs: number): void {
    const rings = this.#register(S_RINGS);
    if (this.#answersItself) this.#answer(nowMs);
    else if (rings >= RINGS) this.#refuse();
    else {
      this.#set(S_RINGS, rings + 1);
      this.#lastRingMs = nowMs;
      this.#state = { name: 'ringing', nextMs: nowMs + (rings + 1 < RINGS ? RING_MS : ANSWER_MS) };
      this.#result('RING');
    }
  }

  #answer(nowMs: number): void {
    this.#effects.push({ type: 'answer' });
    this.#connect(nowMs);
  }

  #refuse(): void {
    this.#effects.push({ type: 'refuse-caller' });
    this.#idle();
  }

  #connect(nowMs: number): void {
    this.#editor.clear();
    this.#state = { name: 'online', watch: new EscapeWatch(nowMs) };
    this.#result('CONNECT');
  }

  #giveUp(): void {
    this.#effects.push({ type: 'give-up-dialling' });
    this.#over('NO CARRIER');
  }

  #escape(): void {
    this.#editor.clear();
    this.#state = { name: 'escaped' };
    this.#result('OK');
  }

  #end(nowMs: number, result: Result): void {
    this.#state = { name: 'ending', untilMs: nowMs + HANG_UP_MS, result };
  }

  #over(result: Result): void {
    this.#idle();
    this.#result(result);
  }

  #idle(): void {
    this.#state = IDLE;
    this.#set(S_RINGS, 0);
  }

  // words

  #result(result: Result): void {
    this.#say(resultText(this.#profile, result, this.#o.baudRate()));
  }

  #inform(lines: readonly string[]): void {
    this.#say(informationText(this.#profile, lines));
  }

  /** Characters of one byte. */
  #say(text: string): void {
    if (text !== '') this.#effects.push({ type: 'say', text });
  }

  get #guardMs(): number {
    return this.#register(S_GUARD) * GUARD_UNIT_MS;
  }

  #register(number: number): number {
    return this.#profile.registers[number] ?? 0;
  }

  #set(number: number, value: number): void {
    this.#profile = { ...this.#profile, registers: this.#profile.registers.with(number, value) };
  }
}
