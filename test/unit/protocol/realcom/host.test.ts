import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../../../src/base/fault.js';
import { describeFrame } from '../../../../src/protocol/realcom/describe.js';
import { HostEngine, type HostOptions, type HostOutput } from '../../../../src/protocol/realcom/host.js';
import { applyFormat, parseFormat } from '../../../../src/serial/format.js';
import { DEFAULT_SETTINGS, type LineRequest, type LineSettings } from '../../../../src/serial/line.js';
import { cut, hex, toHex } from './support.js';

const up = { dtr: true, rts: true };
const of = (format: string): LineSettings => applyFormat(parseFormat(format) ?? {});
const settings = (format: string): LineRequest => ({ type: 'settings', settings: of(format), lines: up });

/** An output as one line, so that a whole exchange is a table. */
function text(output: HostOutput): string {
  switch (output.type) {
    case 'write':
      return `> ${toHex(output.bytes)}`;
    case 'timer':
      return output.afterMs === undefined ? 'timer off' : `timer ${output.afterMs}`;
    case 'received':
      return `< ${describeFrame(output.frame)}${output.answers ? '' : ' (unasked)'}`;
    case 'settled':
      return `settled ${output.id}${output.left === undefined ? '' : ` left ${output.left}`}`;
    case 'failed':
      return `failed ${output.id} ${output.fault.code}`;
    case 'report':
      return `report ${JSON.stringify(output.report)}`;
    case 'preamble':
      return `preamble ${output.supported}`;
    case 'log':
      return `log ${output.level}`;
    case 'close':
      return `close ${output.fault.code}`;
    case 'ready':
      return 'ready';
    default:
      return output satisfies never;
  }
}

function engine(options: Partial<HostOptions> = {}): HostEngine {
  return new HostEngine({ peer: '10.0.0.1:966', ...options });
}

/** An engine with its connection up. */
function started(options: Partial<HostOptions> = {}): HostEngine {
  const host = engine(options);
  expect(host.start().map(text)).toEqual(['ready']);
  return host;
}

const lines = (cts: boolean, dsr: boolean, dcd: boolean, ri = false) =>
  `report ${JSON.stringify({ type: 'lines', lines: { cts, dsr, dcd, ri } })}`;

// [request, bytes of its commands with the answer to each]
const REQUESTS: [string, LineRequest, [string, string][]][] = [
  ['rate in the table', settings('9600,8N1'), [['2c 08 06 03 01 01 00 00 00 00', '2c 03 00 00 00']]],
  [
    'rate by SETBAUD',
    settings('250000,8E2'),
    [
      ['2c 08 ff 0f 01 01 00 00 00 00', '2c 03 00 00 00'],
      ['17 04 90 d0 03 00', '17 4f 4b'],
    ],
  ],
  [
    'XON/XOFF',
    {
      type: 'settings',
      settings: { ...DEFAULT_SETTINGS, flowControl: { ...DEFAULT_SETTINGS.flowControl, xonXoffIn: true } },
      lines: up,
    },
    [
      ['2c 08 06 03 01 01 00 00 00 01', '2c 03 00 00 00'],
      ['18 02 11 13', '18 4f 4b'],
    ],
  ],
  ['lines', { type: 'lines', lines: { dtr: false, rts: true } }, [['12 02 00 01', '12 4f 4b']]],
  ['break on', { type: 'break', on: true }, [['21 00', '21 4f 4b']]],
  ['break off', { type: 'break', on: false }, [['22 00', '22 4f 4b']]],
  ['flush rx', { type: 'flush', queue: 'rx' }, [['14 01 00', '14 4f 4b']]],
  ['flush tx', { type: 'flush', queue: 'tx' }, [['14 01 01', '14 4f 4b']]],
  ['flush both', { type: 'flush', queue: 'both' }, [['14 01 02', '14 4f 4b']]],
  ['resume', { type: 'transmitter', on: true }, [['33 00', '33 4f 4b']]],
  ['suspend', { type: 'transmitter', on: false }, [['34 00', '34 4f 4b']]],
  ['fifo', { type: 'fifo', bytes: 1 }, [['30 01 01', '30 4f 4b']]],
];

describe('each request', () => {
  test.each(REQUESTS)('%s: one command at a time, settled by the last answer', (_name, request, exchange) => {
    const host = started();
    let outputs = host.request(7, request);
    for (const [i, [sent, answer]] of exchange.entries()) {
      expect(outputs.map(text).filter((line) => line.startsWith('>'))).toEqual([`> ${sent}`]);
      expect(outputs.map(text).at(-1)).toBe('timer 10000');
      const bytes = hex(answer);
      expect(host.receive(bytes.subarray(0, 2))).toEqual([]); // a reply may come in pieces
      outputs = host.receive(bytes.subarray(2));
      expect(outputs.map(text).includes('settled 7')).toBe(i === exchange.length - 1);
    }
    expect(host.timeout()).toEqual([]);
  });

  test('several wait in order', () => {
    const host = started();
    expect(host.request(1, settings('9600')).map(text)).toHaveLength(2);
    expect(host.request(2, { type: 'fifo', bytes: 16 })).toEqual([]);
    expect(host.outputQueue(3, 1000)).toEqual([]);
    expect(host.receive(hex('2c 03 01 01 01')).map(text)).toEqual([
      '< PORT_INIT dsr=1 cts=1 dcd=1',
      lines(true, true, true),
      'timer off',
      'settled 1',
      '> 30 01 10',
      'timer 10000',
    ]);
    expect(host.receive(hex('30 4f 4b')).map(text).slice(-3)).toEqual([
      'settled 2',
      '> 2f 04 64 00 00 00',
      'timer 10000',
    ]);
    expect(host.receive(hex('2f 02 2c 01')).map(text)).toEqual([
      '< WAIT_OQUEUE 300 bytes left',
      'timer off',
      'settled 3 left 300',
    ]);
  });

  test('B0: no rate, and the lines that the caller gives', () => {
    const request: LineRequest = {
      type: 'settings',
      settings: { ...of('8N1'), baudRate: 0 },
      lines: { dtr: false, rts: false },
    };
    const host = started();
    expect(host.request(1, request).map(text)[0]).toBe('> 2c 08 ff 03 00 00 00 00 00 00');
    expect(host.receive(hex('2c 03 00 00 00')).map(text)).toContain('settled 1');
  });

  test('more than 64 waiting are refused, not kept', () => {
    const host = started();
    for (let id = 0; id < 64; id++) host.request(id, { type: 'fifo', bytes: 16 });
    expect(host.request(64, { type: 'fifo', bytes: 16 }).map(text)).toEqual(['failed 64 PEER_MUTE']);
  });
});

describe('refusals', () => {
  const refused = (format: string) => `report ${JSON.stringify({ type: 'refused', settings: of(format) })}`;

  test('FF FF FF: told, resolved, and the rest of those settings is not sent', () => {
    const host = started();
    host.request(1, settings('921601,8N1'));
    expect(host.receive(hex('2c 03 ff ff ff')).map(text)).toEqual([
      '< PORT_INIT refused',
      refused('921601,8N1'),
      'timer off',
      'settled 1',
    ]);
    expect(host.modemLines).toBe(undefined);
  });

  test('a SETBAUD that is not OK: told once, resolved', () => {
    const host = started();
    host.request(1, settings('123456,8N1'));
    host.receive(hex('2c 03 01 01 01'));
    expect(host.receive(hex('17 45 52')).map(text)).toEqual([
      '< SETBAUD not OK: 45 52',
      'log warn',
      refused('123456,8N1'),
      'timer off',
      'settled 1',
    ]);
  });

  test('any other command that is not OK resolves', () => {
    const host = started();
    host.request(1, { type: 'lines', lines: up });
    expect(host.receive(hex('12 00 00')).map(text)).toEqual([
      '< LINECTRL not OK: 00 00',
      'log warn',
      'timer off',
      'settled 1',
    ]);
  });
});

describe('unsolicited', () => {
  test('POLLING is answered at once, with a command outstanding and before any', () => {
    const host = started();
    expect(host.receive(hex('27 01 24')).map(text)).toEqual(['< POLLING 24 (unasked)', '> 28 01 24']);
    host.request(1, settings('9600'));
    expect(host.receive(hex('27 01 25')).map(text)).toEqual(['< POLLING 25 (unasked)', '> 28 01 25']);
    expect(host.answered).toBe(false);
  });

  test('NOTIFY between request and reply', () => {
    const host = started();
    host.request(1, { type: 'break', on: true });
    expect(host.receive(hex('26 3f 70 00 21 4f 4b')).map(text)).toEqual([
      '< NOTIFY parity framing overrun buffer-overrun break dsr=1 cts=1 dcd=0 ri=1 (unasked)',
      lines(true, true, false, true),
      `report ${JSON.stringify({ type: 'errors', errors: { parity: true, framing: true, overrun: true, bufferOverrun: true } })}`,
      'report {"type":"break"}',
      '< START_BREAK OK',
      'timer off',
      'settled 1',
    ]);
    expect(host.modemLines).toEqual({ cts: true, dsr: true, dcd: false, ri: true });
  });

  test('a NOTIFY with mask 0 right after accept says nothing', () => {
    const host = started();
    expect(host.receive(hex('26 00 00 81')).map(text)).toEqual(['< NOTIFY nothing (unasked)']);
    expect(host.modemLines).toBe(undefined);
  });

  test('the reply of PORT_INIT has no RI: what NOTIFY said of it stays, and only changes are told', () => {
    const host = started();
    host.receive(hex('26 20 50 00'));
    host.request(1, settings('9600'));
    expect(
      host
        .receive(hex('2c 03 00 01 00'))
        .map(text)
        .filter((line) => line.startsWith('report')),
    ).toEqual([]);
    expect(host.modemLines).toEqual({ cts: true, dsr: false, dcd: false, ri: true });
  });

  test('a reply that nobody waits for is ignored', () => {
    const host = started();
    host.request(1, { type: 'fifo', bytes: 16 });
    expect(host.receive(hex('12 4f 4b')).map(text)).toEqual(['< LINECTRL OK (unasked)', 'log debug']);
    expect(host.receive(hex('30 4f 4b')).map(text)).toContain('settled 1');
  });
});

describe('the end', () => {
  test('no answer in time closes: a late reply could not be matched', () => {
    const host = started({ commandTimeoutMs: 500 });
    host.request(1, settings('9600'));
    host.request(2, { type: 'fifo', bytes: 16 });
    const outputs = host.timeout();
    expect(outputs.map(text)).toEqual(['timer off', 'failed 1 PEER_MUTE', 'failed 2 PEER_MUTE', 'close PEER_MUTE']);
    expect(outputs.at(-1)).toMatchObject({
      fault: { message: '10.0.0.1:966: PORT_INIT was not answered within 500 ms' },
    });
    expect(host.receive(hex('2c 03 01 01 01'))).toEqual([]);
    expect(host.request(3, { type: 'fifo', bytes: 16 }).map(text)).toEqual(['failed 3 PEER_MUTE']);
  });

  test.each([
    ['HTTP', '48 54 54 50 2f 31 2e 31 20 34 30 30'],
    ['its own command echoed', '2c 08 06 03 01 01'],
  ])('%s is not Real COM', (_name, bytes) => {
    const host = started();
    host.request(1, settings('9600'));
    const outputs = host.receive(hex(bytes)).map(text);
    expect(outputs.slice(1)).toEqual(['timer off', 'failed 1 PEER_PROTOCOL', 'close PEER_PROTOCOL']);
    expect(host.receive(hex(bytes))).toEqual([]);
  });

  test('ended from outside: what waits fails with the cause, once', () => {
    const host = started();
    host.request(1, settings('9600'));
    const fault = new Fault('PEER_CLOSED', 'gone');
    expect(host.end(fault).map(text)).toEqual(['timer off', 'failed 1 PEER_CLOSED']);
    expect(host.end(fault)).toEqual([]);
    expect(host.outputQueue(2, 100).map(text)).toEqual(['failed 2 PEER_CLOSED']);
  });
});

describe('IPv6 preamble', () => {
  const zeroes = `> ${toHex(new Uint8Array(16))}`;

  test('commands wait for the 16 bytes, whose content does not matter', () => {
    const host = engine({ preamble: 'on' });
    expect(host.start().map(text)).toEqual([zeroes, 'timer 10000']);
    expect(host.request(1, { type: 'fifo', bytes: 16 })).toEqual([]);
    expect(host.receive(hex('27 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e'))).toEqual([]);
    expect(host.receive(hex('0f 27 01 24')).map(text)).toEqual([
      'preamble true',
      'timer off',
      'ready',
      '> 30 01 10',
      'timer 10000',
      '< POLLING 24 (unasked)',
      '> 28 01 24',
    ]);
  });

  test.each<['auto' | 'on', string[]]>([
    ['auto', ['preamble false', 'timer off', 'failed 1 PEER_MUTE', 'close PEER_MUTE']],
    ['on', ['timer off', 'failed 1 PEER_MUTE', 'close PEER_MUTE']],
  ])('%s: a device that does not answer it', (preamble, expected) => {
    const host = engine({ preamble });
    host.start();
    host.request(1, { type: 'fifo', bytes: 16 });
    expect(host.timeout().map(text)).toEqual(expected);
  });
});

describe('any peer', () => {
  test('never throws, and cuts change nothing', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 });
    const run = (chunks: readonly Uint8Array[]) => {
      const host = started();
      const outputs = [
        ...host.request(1, settings('123456')),
        ...host.outputQueue(2, 50),
        ...host.request(3, settings('9600')),
      ];
      for (const chunk of chunks) outputs.push(...host.receive(chunk));
      return outputs.map(text);
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), sizes, (bytes, sizes) => {
        expect(run(cut(bytes, sizes))).toEqual(run([bytes]));
      }),
    );
  });
});
