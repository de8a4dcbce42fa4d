// One fuzz input against all four: both decoders and both engines. Fast enough for 10^7 of them; used by the unit test
// with few and by the long test with many. Throws where an invariant breaks.
import { CommandDecoder } from '../../../../src/protocol/realcom/command-decoder.js';
import { describeCommand, describeFrame } from '../../../../src/protocol/realcom/describe.js';
import { DeviceEngine, type DeviceOutput } from '../../../../src/protocol/realcom/device.js';
import { encodeCommand, encodeFrame } from '../../../../src/protocol/realcom/encoder.js';
import { FrameDecoder } from '../../../../src/protocol/realcom/frame-decoder.js';
import { HostEngine } from '../../../../src/protocol/realcom/host.js';
import { DEFAULT_SETTINGS } from '../../../../src/serial/line.js';

/** Bytes that mean something, so that an input gets further than its first byte. */
const WORDS = [
  0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x2b, 0x2c,
  0x2f, 0x30, 0x33, 0x34, 0x39, 0x4f, 0x4b, 0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0xff,
];

/** xorshift32: a seed names an input for good. */
export function random(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

export function fuzzOnce(next: () => number): void {
  const bytes = new Uint8Array(1 + (next() % 24));
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = next() % 4 === 0 ? next() & 0xff : (WORDS[next() % WORDS.length] ?? 0);
  const at = next() % (bytes.length + 1);
  const chunks = [bytes.subarray(0, at), bytes.subarray(at)];
  fuzzDecoders(bytes, chunks);
  fuzzHost(chunks, next);
  fuzzDevice(chunks, next);
}

function fuzzDecoders(bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  const whole = new CommandDecoder().decode(bytes);
  const commandDecoder = new CommandDecoder();
  const parts = chunks.flatMap((chunk) => commandDecoder.decode(chunk));
  check(whole.length === parts.length, 'commands depend on the cut', bytes);
  for (const [i, { command, bytes: wire }] of whole.entries()) {
    const text = describeCommand(command);
    check(text === describeCommand(parts[i]?.command ?? command), 'a command depends on the cut', bytes);
    check(describeCommand(decodeOne(encodeCommand(command)) ?? command) === text, 'a command does not come back', wire);
  }
  const frames = new FrameDecoder().decode(bytes);
  const frameDecoder = new FrameDecoder();
  const frameParts = chunks.flatMap((chunk) => frameDecoder.decode(chunk));
  check(frames.length === frameParts.length, 'frames depend on the cut', bytes);
  for (const [i, { frame, bytes: wire }] of frames.entries()) {
    check(describeFrame(frame) === describeFrame(frameParts[i]?.frame ?? frame), 'a frame depends on the cut', bytes);
    check(wire.length <= 5, 'a frame is too long', bytes);
    encodeFrame(frame);
  }
}

function decodeOne(bytes: Uint8Array) {
  return new CommandDecoder().decode(bytes)[0]?.command;
}

function fuzzHost(chunks: readonly Uint8Array[], next: () => number): void {
  const host = new HostEngine({ peer: 'peer', preamble: next() % 8 === 0 ? 'auto' : 'off' });
  const open = new Set([1, 2, 3]);
  const outputs = [...host.start()];
  outputs.push(...host.request(1, { type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: true } }));
  outputs.push(...host.outputQueue(2, next() % 200), ...host.request(3, { type: 'flush', queue: 'both' }));
  for (const chunk of chunks) outputs.push(...host.receive(chunk));
  outputs.push(...host.timeout());
  for (const output of outputs) {
    if (output.type === 'settled' || output.type === 'failed') check(open.delete(output.id), 'settled twice');
  }
}

function fuzzDevice(chunks: readonly Uint8Array[], next: () => number): void {
  const preamble = next() % 8 === 0 ? 'auto' : 'off';
  const engine = new DeviceEngine({ preamble });
  let first = true;
  const perform = (list: DeviceOutput[]): void => {
    for (let outputs = list; outputs.length > 0; ) {
      for (const [i, output] of outputs.entries()) {
        const asks = output.type === 'request' || output.type === 'queue';
        check(!asks || i === outputs.length - 1, 'a question is not the last output');
        if (output.type !== 'write' || output.frame === undefined) continue;
        check(new FrameDecoder().decode(output.bytes).length === 1 || output.frame.type === 'ok', 'not one frame');
        if (output.frame.type !== 'lines' && output.frame.type !== 'refused') continue;
        check(output.frame.type === 'lines' || !first, 'the first PORT_INIT was refused');
        if (output.frame.code === 0x2c) first = false;
      }
      const last = outputs.at(-1);
      const lines = { cts: true, dsr: true, dcd: true, ri: false };
      if (last?.type === 'request') outputs = engine.applied({ lines, refused: next() % 2 === 0 });
      else if (last?.type === 'queue') outputs = engine.queueIs(next());
      else outputs = [];
    }
  };
  for (const chunk of chunks) perform(engine.receive(chunk));
  for (let i = 0; i < 30; i++) perform(engine.timeout());
  perform(engine.poll());
}

function check(holds: boolean, what: string, bytes: Uint8Array = new Uint8Array(0)): void {
  if (!holds) throw new Error(`${what}: ${Buffer.from(bytes).toString('hex')}`);
}
