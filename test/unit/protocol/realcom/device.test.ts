import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseWithBytes, stringifyWithBytes } from '../../../../src/base/bytes-json.js';
import { describeFrame } from '../../../../src/protocol/realcom/describe.js';
import {
  type Applied,
  DeviceEngine,
  type DeviceOptions,
  type DeviceOutput,
} from '../../../../src/protocol/realcom/device.js';
import { encodeCommand } from '../../../../src/protocol/realcom/encoder.js';
import { FrameDecoder } from '../../../../src/protocol/realcom/frame-decoder.js';
import { formatSettings } from '../../../../src/serial/format.js';
import type { LineRequest, ModemLines } from '../../../../src/serial/line.js';
import { anyCommand, capture, concat, cut, hex, toHex } from './support.js';

const LOW: ModemLines = { cts: false, dsr: false, dcd: false, ri: false };

function requestText(request: LineRequest): string {
  switch (request.type) {
    case 'settings': {
      const { flowControl: flow } = request.settings;
      const xon = `${flow.xon.toString(16)}/${flow.xoff.toString(16)}`;
      const flags = `${+flow.rtsCts}${+flow.xonXoffOut}${+flow.xonXoffIn}`;
      return `settings ${formatSettings(request.settings)} flow=${flags} ${xon} dtr=${+request.lines.dtr} rts=${+request.lines.rts}`;
    }
    case 'lines':
      return `lines dtr=${+request.lines.dtr} rts=${+request.lines.rts}`;
    default:
      return JSON.stringify(request);
  }
}

function text(output: DeviceOutput): string {
  switch (output.type) {
    case 'write':
      return `< ${toHex(output.bytes)}`;
    case 'request':
      return requestText(output.request);
    case 'queue':
      return `queue ${output.queue} ${output.maxMs}`;
    case 'timer':
      return output.afterMs === undefined ? 'timer off' : `timer ${output.afterMs}`;
    case 'close':
      return `close ${output.fault.code}`;
    default:
      return output.type;
  }
}

/** Performs what the engine says, as the contract in its head comment tells; returns everything that was said. */
function perform(
  engine: DeviceEngine,
  first: DeviceOutput[],
  applied: (request: LineRequest) => Applied,
  left = 0,
): string[] {
  const said: string[] = [];
  let outputs = first;
  while (outputs.length > 0) {
    said.push(...outputs.map(text));
    const last = outputs.at(-1);
    if (last?.type === 'request') outputs = engine.applied(applied(last.request));
    else if (last?.type === 'queue') outputs = engine.queueIs(left);
    else outputs = [];
  }
  return said;
}

const ok = (): Applied => ({ lines: LOW });

function exchange(wire: string, options: DeviceOptions = {}): string[] {
  const engine = new DeviceEngine(options);
  return perform(engine, engine.receive(hex(wire)), ok);
}

// [bytes from the host, what the owner is told, in order]
const EXCHANGES: [string, string[]][] = [
  ['2c 08 06 03 01 01 00 00 00 00', ['take-data', 'settings 9600,8N1 flow=000 11/13 dtr=1 rts=1', '< 2c 03 00 00 00']],
  [
    '2c 08 ff 1b 01 00 00 01 01 01 17 04 90 d0 03 00 18 02 02 03',
    [
      'take-data',
      'settings 9600,8M1 flow=111 11/13 dtr=1 rts=0',
      '< 2c 03 00 00 00',
      'take-data',
      'settings 250000,8M1 flow=111 11/13 dtr=1 rts=0',
      '< 17 4f 4b',
      'take-data',
      'settings 250000,8M1 flow=111 2/3 dtr=1 rts=0',
      '< 18 4f 4b',
    ],
  ],
  ['10 02 07 0a', ['take-data', 'settings 19200,7E1 flow=000 11/13 dtr=0 rts=0', '< 10 4f 4b']],
  ['11 04 01 00 00 01', ['take-data', 'settings 9600,8N1 flow=101 11/13 dtr=0 rts=0', '< 11 4f 4b']],
  ['12 02 00 01', ['take-data', 'lines dtr=0 rts=1', '< 12 4f 4b']],
  ['13 00', ['< 13 03 00 00 00']],
  ['14 01 00', ['take-data', '{"type":"flush","queue":"rx"}', '< 14 4f 4b']],
  ['14 01 01', ['take-data', '{"type":"flush","queue":"tx"}', '< 14 4f 4b']],
  ['14 01 02', ['take-data', '{"type":"flush","queue":"both"}', '< 14 4f 4b']],
  ['15 00', ['queue rx 0', '< 15 02 00 00']],
  ['16 00', ['take-data', 'queue tx 0', '< 16 02 00 00']],
  [
    '21 00 22 00',
    ['take-data', '{"type":"break","on":true}', '< 21 4f 4b', 'take-data', '{"type":"break","on":false}', '< 22 4f 4b'],
  ],
  ['2f 04 64 00 00 00', ['take-data', 'queue tx 80', '< 2f 02 00 00']],
  ['2f 04 ff ff ff 7f', ['take-data', 'queue tx 3000', '< 2f 02 00 00']],
  ['30 01 10', ['take-data', '{"type":"fifo","bytes":16}', '< 30 4f 4b']],
  ['33 00', ['take-data', '{"type":"transmitter","on":true}', '< 33 4f 4b']],
  ['34 00', ['take-data', '{"type":"transmitter","on":false}', '< 34 4f 4b']],
  ['39 00', ['< 39 4f 4b']],
  ['24 01 20', ['< 24 4f 4b']],
  ['2b 03 61 62 63', ['note', '< 2b 4f 4b']],
  ['1f 00', ['note', '< 1f 4f 4b']],
  ['20 00 2e 00', ['note', '< 20 4f 4b', 'note', '< 2e 4f 4b']],
  ['2c 03 06 03 01', ['note', '< 2c 03 00 00 00']],
  ['2f 00', ['note', 'take-data', 'queue tx 0', '< 2f 02 00 00']],
  ['28 01 24', []],
  ['26 02 00 00 27 01 00', ['note', 'note']],
  ['17 04 00 00 00 00', ['note', '< 17 45 52']],
];

describe('each command', () => {
  test.each(EXCHANGES)('%s', (wire, expected) => expect(exchange(wire)).toEqual(expected));
});

describe('the capture of the vendor’s driver, host bytes only', () => {
  test.each([...capture()])('%s: every command is answered in its own frame, in order', (_name, segments) => {
    const commands = segments.filter(({ direction }) => direction === 'sent');
    const expected = segments.filter(
      ({ direction, bytes }) => direction === 'received' && bytes[0] !== 0x26 && bytes[0] !== 0x27,
    );
    const engine = new DeviceEngine();
    const frames: number[] = [];
    for (const { bytes } of commands) {
      let outputs = engine.receive(bytes);
      while (outputs.length > 0) {
        for (const output of outputs) {
          if (output.type !== 'write') continue;
          const decoded = new FrameDecoder().decode(output.bytes);
          expect(decoded).toHaveLength(1);
          expect(decoded[0]?.bytes).toEqual(output.bytes);
          frames.push(output.bytes[0] ?? 0);
        }
        const last = outputs.at(-1);
        outputs = last?.type === 'request' ? engine.applied(ok()) : last?.type === 'queue' ? engine.queueIs(0) : [];
      }
    }
    const seen = new FrameDecoder()
      .decode(concat(expected.map(({ bytes }) => bytes)))
      .filter(({ frame }) => 'code' in frame);
    // The scripted device was cut off, or told to be mute, in some sections; it never answered more than we do.
    const answered = seen.map(({ bytes }) => bytes[0]);
    if (answered.length === frames.length) expect(frames).toEqual(answered);
    else expect(frames.length).toBeGreaterThan(answered.length);
  });
});

describe('PORT_INIT', () => {
  const up: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };

  test('answers with the lines after it was applied, as 1, never FF', () => {
    const engine = new DeviceEngine();
    const said = perform(engine, engine.receive(hex('2c 08 06 03 01 01 00 00 00 00')), () => ({ lines: up }));
    expect(said.at(-1)).toBe('< 2c 03 01 01 01');
    expect(engine.initialised).toBe(true);
    expect(engine.outputLines).toEqual({ dtr: true, rts: true });
  });

  test('a refusal is FF FF FF, but never to the first; the settings stay', () => {
    const engine = new DeviceEngine();
    const refuse = () => ({ lines: up, refused: true });
    const wire = hex('2c 08 0d 03 01 01 00 00 00 00');
    expect(perform(engine, engine.receive(wire), refuse).at(-1)).toBe('< 2c 03 01 01 01');
    expect(perform(engine, engine.receive(wire), refuse).at(-1)).toBe('< 2c 03 ff ff ff');
    expect(engine.settings.baudRate).toBe(9600);
  });

  test('an index that does not exist: asked with the present settings first, refused later', () => {
    const engine = new DeviceEngine();
    const wire = hex('2c 08 13 03 01 00 00 00 00 00');
    expect(perform(engine, engine.receive(wire), ok)).toEqual([
      'note',
      'take-data',
      'settings 9600,8N1 flow=000 11/13 dtr=1 rts=0',
      '< 2c 03 00 00 00',
    ]);
    expect(perform(engine, engine.receive(wire), ok)).toEqual(['note', '< 2c 03 ff ff ff']);
  });

  test('a refused SETBAUD is not OK', () => {
    const engine = new DeviceEngine();
    const said = perform(engine, engine.receive(hex('17 04 01 00 00 00')), () => ({ lines: up, refused: true }));
    expect(said.at(-1)).toBe('< 17 45 52');
  });
});

describe('waiting', () => {
  test('nothing else is begun until the request is applied; ALIVE counts', () => {
    const engine = new DeviceEngine();
    perform(engine, engine.receive(hex('2c 08 06 03 01 01 00 00 00 00')), ok);
    engine.poll();
    expect(engine.receive(hex('12 02 01 01')).map(text)).toEqual(['take-data', 'lines dtr=1 rts=1']);
    expect(engine.receive(hex('30 01 10 28 01 01'))).toEqual([]);
    expect(engine.missedPolls).toBe(0);
    expect(engine.applied({ lines: LOW }).map(text)).toEqual(['< 12 4f 4b', 'take-data', '{"type":"fifo","bytes":16}']);
  });

  test('a command behind WAIT_OQUEUE ends the wait', () => {
    const engine = new DeviceEngine();
    expect(engine.receive(hex('2f 04 10 27 00 00')).map(text)).toEqual(['take-data', 'queue tx 3000']);
    expect(engine.receive(hex('14 01 02')).map(text)).toEqual(['queue tx 0']);
    expect(engine.receive(hex('30 01 10'))).toEqual([]);
    expect(engine.queueIs(70_000).map(text)).toEqual(['< 2f 02 ff ff', 'take-data', '{"type":"flush","queue":"both"}']);
    expect(engine.queueIs(0)).toEqual([]);
  });

  test('a host that floods is cut off', () => {
    const engine = new DeviceEngine();
    engine.receive(hex('30 01 10 30 01 10'));
    const flood = concat(Array.from({ length: 200 }, () => hex('30 01 10')));
    const last = [0, 1, 2].map(() => engine.receive(flood).map(text)).at(-1);
    expect(last).toEqual(['timer off', 'close PEER_PROTOCOL']);
    expect(engine.receive(flood)).toEqual([]);
    expect(engine.applied(ok())).toEqual([]);
  });

  test('a large chunk of commands is worked through', () => {
    const engine = new DeviceEngine();
    const said = perform(engine, engine.receive(concat(Array.from({ length: 20_000 }, () => hex('30 01 10')))), ok);
    expect(said.filter((line) => line === '< 30 4f 4b')).toHaveLength(20_000);
  });
});

describe('a command that is cut short', () => {
  test('the timer runs while it is pending', () => {
    const engine = new DeviceEngine();
    expect(engine.receive(hex('14')).map(text)).toEqual(['timer 1000']);
    expect(engine.receive(hex('10')).map(text)).toEqual(['timer 1000']);
    expect(engine.receive(hex('02')).map(text)).toEqual(['timer 1000']);
    expect(perform(engine, engine.timeout(), ok)).toEqual([
      'note',
      'take-data',
      '{"type":"flush","queue":"both"}',
      '< 14 4f 4b',
    ]);
    expect(engine.timeout()).toEqual([]);
  });

  test('and stops when it completes', () => {
    const engine = new DeviceEngine();
    engine.receive(hex('30 01'));
    expect(engine.receive(hex('10')).map(text)).toEqual(['timer off', 'take-data', '{"type":"fifo","bytes":16}']);
  });
});

describe('NOTIFY and POLLING', () => {
  const cts: ModemLines = { cts: true, dsr: false, dcd: false, ri: true };

  test('nothing before PORT_INIT is answered, but the lines are known then', () => {
    const engine = new DeviceEngine();
    expect(engine.poll()).toEqual([]);
    expect(engine.report({ type: 'lines', lines: cts })).toEqual([]);
    expect(perform(engine, engine.receive(hex('13 00')), ok)).toEqual(['< 13 03 00 01 00']);
  });

  test('the mask tells what, msr always the full state', () => {
    const engine = new DeviceEngine();
    perform(engine, engine.receive(hex('2c 08 06 03 01 01 00 00 00 00')), ok);
    expect(engine.report({ type: 'lines', lines: cts }).map(text)).toEqual(['< 26 20 50 00']);
    const errors = { parity: true, framing: false, overrun: false, bufferOverrun: true };
    expect(engine.report({ type: 'errors', errors }, { type: 'break' }).map(text)).toEqual(['< 26 19 50 00']);
    perform(engine, engine.receive(hex('25 00')), ok);
    expect(engine.report({ type: 'break' })).toEqual([]);
    perform(engine, engine.receive(hex('24 00')), ok);
    expect(engine.report({ type: 'break' }).map(text)).toEqual(['< 26 10 50 00']);
  });

  test('three POLLINGs without a sign of life close', () => {
    const engine = new DeviceEngine();
    perform(engine, engine.receive(hex('2c 08 06 03 01 01 00 00 00 00')), ok);
    expect(engine.poll().map(text)).toEqual(['< 27 01 01']);
    engine.receive(hex('28 01 01'));
    expect([1, 2, 3].flatMap(() => engine.poll()).map(text)).toEqual(['< 27 01 02', '< 27 01 03', '< 27 01 04']);
    expect(engine.poll().map(text)).toEqual(['timer off', 'close PEER_MUTE']);
  });

  test('or never, where that is switched off', () => {
    const engine = new DeviceEngine({ maxMissedPolls: 0 });
    perform(engine, engine.receive(hex('2c 08 06 03 01 01 00 00 00 00')), ok);
    for (let i = 1; i < 300; i++)
      expect(engine.poll().map(text)).toEqual([`< 27 01 ${(i & 0xff).toString(16).padStart(2, '0')}`]);
  });
});

describe('IPv6 preamble', () => {
  const junk = '7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00';
  const zeroes = '00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00';

  test.each([junk, zeroes])('%s is echoed in one piece, however it comes', (first) => {
    const engine = new DeviceEngine({ preamble: 'auto' });
    const pieces = cut(hex(first), [5]).flatMap((piece) => engine.receive(piece).map(text));
    expect(pieces.filter((line) => line.startsWith('<'))).toEqual([`< ${first}`]);
    expect(pieces.at(0)).toBe('timer 1000');
    expect(perform(engine, engine.receive(hex('13 00')), ok)).toEqual(['< 13 03 00 00 00']);
  });

  test('commands are taken as such', () => {
    expect(exchange('39 00', { preamble: 'auto' })).toEqual(['< 39 4f 4b']);
    const cutShort = new DeviceEngine({ preamble: 'auto' });
    expect(cutShort.receive(hex('2c 08 06 03')).map(text)).toEqual(['timer 1000']);
    expect(perform(cutShort, cutShort.receive(hex('01 01 00 00 00 00')), ok).at(-1)).toBe('< 2c 03 00 00 00');
  });

  test('too few for a preamble after a second: commands after all', () => {
    const engine = new DeviceEngine({ preamble: 'auto' });
    engine.receive(hex('30 10 10'));
    expect(perform(engine, engine.timeout(), ok).at(-1)).toBe('< 30 4f 4b');
  });

  test('on: whatever the bytes', () => {
    expect(exchange(`${zeroes} 13 00`, { preamble: 'on' })).toEqual([`< ${zeroes}`, '< 13 03 00 00 00']);
  });
});

describe('any host', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
  const run = (chunks: readonly Uint8Array[]): string[] => {
    const engine = new DeviceEngine();
    return chunks
      .flatMap((chunk) => perform(engine, engine.receive(chunk), ok))
      .filter((line) => !line.startsWith('timer'));
  };

  test('any bytes: never throws, cuts change nothing but how long a wait may take', () => {
    const untimed = (said: string[]) => said.map((line) => line.replace(/^queue tx .*/, 'queue tx'));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), sizes, (bytes, sizes) => {
        expect(untimed(run(cut(bytes, sizes)))).toEqual(untimed(run([bytes])));
      }),
    );
  });

  test('another engine that goes on, at any cut and in the middle of any work, says what one alone says', () => {
    const next = (engine: DeviceEngine) => {
      const goesOn = parseWithBytes(stringifyWithBytes(engine.state)) as DeviceEngine['state'];
      return new DeviceEngine({ goesOn });
    };
    const runOn = (chunks: readonly Uint8Array[]): string[] => {
      let engine = new DeviceEngine({ preamble: 'auto' });
      const said: string[] = [];
      for (const chunk of chunks) {
        let outputs = engine.receive(chunk);
        while (outputs.length > 0) {
          said.push(...outputs.map(text));
          engine = next(engine);
          const last = outputs.at(-1);
          if (last?.type === 'request') outputs = engine.applied(ok());
          else if (last?.type === 'queue') outputs = engine.queueIs(0);
          else outputs = [];
        }
        engine = next(engine);
      }
      return said;
    };
    const runOne = (chunks: readonly Uint8Array[]): string[] => {
      const engine = new DeviceEngine({ preamble: 'auto' });
      return chunks.flatMap((chunk) => perform(engine, engine.receive(chunk), ok));
    };
    const bytes = fc.oneof(
      fc.array(anyCommand, { maxLength: 8 }).map((commands) => concat(commands.map(encodeCommand))),
      fc.uint8Array({ maxLength: 100 }),
    );
    fc.assert(
      fc.property(bytes, sizes, (all, sizes) => {
        const chunks = cut(all, sizes);
        expect(runOn(chunks)).toEqual(runOne(chunks));
      }),
    );
  });

  test('every frame that it writes is one that a host understands', () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 8 }), (commands) => {
        const said = run([concat(commands.filter(({ type }) => type !== 'other').map(encodeCommand))]);
        for (const line of said.filter((line) => line.startsWith('<'))) {
          const frames = new FrameDecoder().decode(hex(line.slice(2)));
          expect(frames).toHaveLength(1);
          expect(frames.map(({ frame }) => describeFrame(frame)).join()).not.toMatch(/unknown|malformed/);
        }
      }),
    );
  });
});
