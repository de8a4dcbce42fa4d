// Connections that `--probe` makes by itself: command port, data port, PORT_INIT with the engine that the driver uses.
// Raises neither DTR nor RTS, sends no data, and leaves nothing open. Never called for a port that the daemon uses.
// Follows docs/protocol/realcom.md sections 1.3, 1.4 and 4.1.
import { connect, isIPv6, type Socket } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import { HostEngine, type HostOutput } from '../../protocol/realcom/host.js';
import { formatSettings } from '../../serial/format.js';
import type { LineSettings } from '../../serial/line.js';
import type { ConnectFacts, PortInitFacts, ProbeFacts } from './facts.js';

export interface ProbeTarget {
  /** Numeric. */
  readonly address: string;
  readonly dataPort: number;
  readonly commandPort: number;
  readonly settings: LineSettings;
  readonly preamble: 'auto' | 'on' | 'off';
}

export interface ProbeOptions {
  readonly clock: Clock;
  /** For each of the two connections. */
  readonly connectTimeoutMs?: number;
  /** For the answer to PORT_INIT. */
  readonly answerTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 5000;
/** A device that is alive answers within a round trip; the driver itself waits 10 s, a person should not have to. */
const ANSWER_TIMEOUT_MS = 5000;
const SHOWN_BYTES = 24;

/** A connection that is open, or why not. */
type Dialled =
  | { readonly socket: Socket; readonly facts: ConnectFacts }
  | { readonly socket: undefined; readonly facts: ConnectFacts };

export async function probePort(target: ProbeTarget, options: ProbeOptions): Promise<ProbeFacts> {
  const preamble = isIPv6(target.address) || target.preamble === 'on' ? target.preamble : 'off';
  const first = await probeOnce(target, preamble, options);
  // A device without the preamble takes 16 bytes for something else, or for nothing: it gets a fresh connection.
  const withoutIt = preamble === 'auto' && (first.portInit.result === 'mute' || first.portInit.result === 'closed');
  return withoutIt ? probeOnce(target, 'off', options) : first;
}

/** One connection to one TCP port, closed at once. */
export async function probeConnect(host: string, port: number, options: ProbeOptions): Promise<ConnectFacts> {
  const { socket, facts } = await dial(host, port, options);
  await closed(socket);
  return facts;
}

/** Of a protocol with one connection: that it is accepted. Whoever is there gets nothing from us. */
export async function probeSingle(address: string, port: number, options: ProbeOptions): Promise<ProbeFacts> {
  const data = await probeConnect(address, port, options);
  return { address, asked: '', command: { result: 'not tried' }, data, portInit: NOT_TRIED };
}

async function probeOnce(
  target: ProbeTarget,
  preamble: 'auto' | 'on' | 'off',
  options: ProbeOptions,
): Promise<ProbeFacts> {
  const asked = formatSettings(target.settings);
  const common = { address: target.address, asked };
  const command = await dial(target.address, target.commandPort, options);
  if (command.socket === undefined) {
    // Told apart from the other one, so the data port is tried all the same.
    const data = await probeConnect(target.address, target.dataPort, options);
    return { ...common, command: command.facts, data, portInit: { result: 'not tried' } };
  }
  const data = await dial(target.address, target.dataPort, options);
  try {
    if (data.socket === undefined)
      return { ...common, command: command.facts, data: data.facts, portInit: { result: 'not tried' } };
    const answer = await initialise(command.socket, data.socket, target, preamble, options);
    const portInit = answer.result === 'mute' ? ((await provoke(command.socket, options.clock)) ?? answer) : answer;
    return { ...common, ...afterwards(command.facts, data.facts, portInit, data.socket) };
  } finally {
    // Data first, as the vendor's driver does.
    await closed(data.socket);
    await closed(command.socket);
  }
}

/** A data connection that the device ended while it answered commands is the one that is busy. */
function afterwards(command: ConnectFacts, data: ConnectFacts, portInit: PortInitFacts, socket: Socket) {
  const dataClosed = socket.destroyed || socket.readableEnded;
  const busy: ConnectFacts = { result: 'closed', why: 'accepted, then closed' };
  if (portInit.result === 'closed' && !dataClosed) return { command: busy, data, portInit: NOT_TRIED };
  if (portInit.result === 'closed') return { command: busy, data: busy, portInit: NOT_TRIED };
  return { command, data: dataClosed ? busy : data, portInit };
}

const NOT_TRIED: PortInitFacts = { result: 'not tried' };

function dial(
  host: string,
  port: number,
  { clock, connectTimeoutMs = CONNECT_TIMEOUT_MS }: ProbeOptions,
): Promise<Dialled> {
  return new Promise((resolve) => {
    const from = clock.now();
    const socket = connect({ host, port, noDelay: true });
    const finish = (dialled: Dialled) => {
      timer.cancel();
      if (dialled.socket === undefined) socket.destroy();
      resolve(dialled);
    };
    const timer = clock.after(connectTimeoutMs, () =>
      finish({ socket: undefined, facts: { result: 'timeout', why: `no answer within ${connectTimeoutMs} ms` } }),
    );
    // Stays: after the connect an error is followed by 'close', which is what counts.
    socket.on('error', (error) => finish({ socket: undefined, facts: connectFacts(error) }));
    socket.once('connect', () => finish({ socket, facts: { result: 'connected', ms: clock.now() - from } }));
  });
}

const RESULTS: ReadonlyMap<string, 'refused' | 'timeout' | 'no route' | 'closed'> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['ETIMEDOUT', 'timeout'],
  ['EHOSTUNREACH', 'no route'],
  ['EHOSTDOWN', 'no route'],
  ['ENETUNREACH', 'no route'],
  ['ENETDOWN', 'no route'],
  ['EADDRNOTAVAIL', 'no route'],
  ['ECONNRESET', 'closed'],
]);

function connectFacts(error: Error): ConnectFacts {
  const code = 'code' in error ? String(error.code) : '';
  return { result: RESULTS.get(code) ?? 'error', why: error.message };
}

function initialise(
  command: Socket,
  data: Socket,
  target: ProbeTarget,
  preamble: 'auto' | 'on' | 'off',
  { clock, answerTimeoutMs = ANSWER_TIMEOUT_MS }: ProbeOptions,
): Promise<PortInitFacts> {
  const engine = new HostEngine({ peer: target.address, preamble, commandTimeoutMs: answerTimeoutMs });
  const from = clock.now();
  let timer: Timer | undefined;
  let refused = false;
  return new Promise((resolve) => {
    const finish = (facts: PortInitFacts) => {
      timer?.cancel();
      command.off('data', received).off('end', closedEarly).off('close', closedEarly);
      resolve(facts);
    };
    const received = (chunk: Uint8Array) => perform(engine.receive(chunk), chunk);
    const closedEarly = () => finish({ result: 'closed' });
    const perform = (outputs: readonly HostOutput[], chunk: Uint8Array) => {
      for (const output of outputs) {
        if (output.type === 'write') command.write(output.bytes);
        else if (output.type === 'timer') setTimer(output.afterMs);
        else if (output.type === 'report') refused ||= output.report.type === 'refused';
        else if (output.type === 'settled')
          finish(refused ? { result: 'refused' } : acknowledged(engine, clock.now() - from));
        else if (output.type === 'close') finish(ended(output.fault.code, chunk, answerTimeoutMs));
      }
    };
    const setTimer = (afterMs: number | undefined) => {
      timer?.cancel();
      timer = afterMs === undefined ? undefined : clock.after(afterMs, () => perform(engine.timeout(), NOTHING));
    };
    command.on('data', received).on('end', closedEarly).on('close', closedEarly);
    // What the line sends meanwhile belongs to nobody: read and dropped, so that an end is seen.
    data.resume();
    perform(engine.start(), NOTHING);
    // DTR and RTS stay low: raising them resets some devices.
    perform(
      engine.request(1, { type: 'settings', settings: target.settings, lines: { dtr: false, rts: false } }),
      NOTHING,
    );
  });
}

const NOTHING = new Uint8Array(0);
const PROVOKE_MS = 500;

/**
 * Servers of line-based protocols say nothing until a line ends. The connection is spent anyway, and to a device server
 * these are four bytes of an unknown command that never becomes whole.
 */
function provoke(socket: Socket, clock: Clock): Promise<PortInitFacts | undefined> {
  return new Promise((resolve) => {
    const finish = (facts: PortInitFacts | undefined) => {
      timer.cancel();
      socket.off('data', received).off('close', silent);
      resolve(facts);
    };
    const silent = () => finish(undefined);
    const received = (chunk: Uint8Array) => {
      const what = looksLike(chunk);
      if (what !== undefined) finish({ result: 'not real com', looksLike: what, bytes: printable(chunk) });
    };
    const timer = clock.after(PROVOKE_MS, silent);
    socket.on('data', received).on('close', silent);
    socket.write('\r\n\r\n');
  });
}

function acknowledged(engine: HostEngine, ms: number): PortInitFacts {
  const lines = engine.modemLines;
  return { result: 'acknowledged', ms, cts: lines?.cts ?? false, dsr: lines?.dsr ?? false, dcd: lines?.dcd ?? false };
}

function ended(code: string, chunk: Uint8Array, afterMs: number): PortInitFacts {
  if (code === 'PEER_PROTOCOL') return { result: 'not real com', looksLike: looksLike(chunk), bytes: printable(chunk) };
  return { result: 'mute', afterMs };
}

/** What else is met on such ports, by its first bytes. */
export function looksLike(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, SHOWN_BYTES));
  if (/^(HTTP\/|<!DOCTYPE|<html)/i.test(text)) return 'a web server';
  if (text.startsWith('SSH-')) return 'an SSH server';
  if (/^220[ -]/.test(text)) return 'a mail or FTP server';
  if (bytes[0] === 0xff && (bytes[1] ?? 0) >= 0xfa) return 'telnet (RFC 2217 is another operation mode)';
  if (bytes[0] === 0x15 && bytes[1] === 0x03) return 'TLS (a secure operation mode)';
  return undefined;
}

/** 'HTTP/1.1 400 Bad Request...', or hex where it is no text. */
export function printable(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, SHOWN_BYTES);
  const more = bytes.length > SHOWN_BYTES ? '...' : '';
  const line = new TextDecoder('latin1').decode(shown).split(/[\r\n]/)[0] ?? '';
  if (/^[ -~]{3,}$/.test(line)) return `"${line}"${more}`;
  return [...shown].map((byte) => byte.toString(16).padStart(2, '0')).join(' ') + more;
}

function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.destroy();
  });
}
