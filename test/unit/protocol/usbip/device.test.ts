// A virtual device before a kernel whose messages are written down here byte by byte (usbip_common.h, USB 2.0 chapter 9).
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UsbipDecoder } from '../../../../src/protocol/usbip/decoder.js';
import type { DeviceDescription, Speed } from '../../../../src/protocol/usbip/descriptors.js';
import { UsbDevice } from '../../../../src/protocol/usbip/device.js';
import type { Message } from '../../../../src/protocol/usbip/messages.js';
import { parseSetup } from '../../../../src/protocol/usbip/setup.js';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A CMD_SUBMIT as the kernel sends it. */
function submit(
  seqnum: number,
  endpoint: number,
  direction: 'in' | 'out',
  length: number,
  more: { setup?: string; data?: string } = {},
): Uint8Array {
  const head = Buffer.alloc(48);
  head.writeUInt32BE(1, 0);
  head.writeUInt32BE(seqnum, 4);
  head.writeUInt32BE(0x10002, 8);
  head.writeUInt32BE(direction === 'in' ? 1 : 0, 12);
  head.writeUInt32BE(endpoint, 16);
  head.writeUInt32BE(0x200, 20);
  head.writeUInt32BE(length, 24);
  Buffer.from(more.setup ?? '0000000000000000', 'hex').copy(head, 40);
  return Uint8Array.from(Buffer.concat([head, Buffer.from(more.data ?? '', 'hex')]));
}

function unlink(seqnum: number, target: number): Uint8Array {
  const head = Buffer.alloc(48);
  head.writeUInt32BE(2, 0);
  head.writeUInt32BE(seqnum, 4);
  head.writeUInt32BE(target, 20);
  return Uint8Array.from(head);
}

const control = (seqnum: number, setup: string, length = 255) => submit(seqnum, 0, 'in', length, { setup });

function description(speed: Speed = 'high', interfaces = 2): DeviceDescription {
  return {
    speed,
    vendorId: 0x1209,
    productId: 0x7474,
    release: 0x0800,
    manufacturer: 'ttynp',
    product: 'Serial',
    serial: 'N0',
    interfaces,
  };
}

function make(speed: Speed = 'high', interfaces = 2) {
  const written: string[] = [];
  const calls: string[] = [];
  const device = new UsbDevice(
    description(speed, interfaces),
    {
      control: (setup, data) => {
        calls.push(`control ${setup.request} ${setup.value} ${setup.index} ${text(data)}`);
        return setup.request === 5 ? hex('3160') : setup.request === 99 ? undefined : new Uint8Array(0);
      },
      out: (index, seqnum, data) => calls.push(`out ${index} ${seqnum} ${text(data)}`),
      wanted: (index) => calls.push(`wanted ${index}`),
      unwanted: (index) => calls.push(`unwanted ${index}`),
    },
    (bytes) => written.push(text(bytes)),
    (reason) => calls.push(`lost: ${reason}`),
  );
  return { device, written, calls };
}

/** RET_SUBMIT: command 3, seqnum, zeros, status, actual length, zeros. */
function ret(seqnum: number, status: number, actual: number, data = ''): string {
  const head = Buffer.alloc(48);
  head.writeUInt32BE(3, 0);
  head.writeUInt32BE(seqnum, 4);
  head.writeInt32BE(status, 20);
  head.writeUInt32BE(actual, 24);
  return head.toString('hex') + data;
}

test('descriptors of a high-speed device', () => {
  const { device, written } = make();
  device.receive(control(1, '8006000100004000', 64));
  device.receive(control(2, '8006000200000900', 9));
  device.receive(control(3, '8006000200003700', 55));
  device.receive(control(4, '800600030000ff00'));
  device.receive(control(5, '800603030904ff00'));
  device.receive(control(6, '8006000600000a00', 10));
  device.receive(control(7, '8006000f00000500', 5));
  const head = '0902370002 0100c000'.replace(' ', '');
  const whole =
    `${head}0904000002ffffff02070581020002000705010200020009040100 02ffffff0207058202000200070502020002 00`.replaceAll(
      ' ',
      '',
    );
  expect(written).toEqual([
    ret(1, 0, 18, '12010002000000400912747400080102 0301'.replace(' ', '')),
    ret(2, 0, 9, head),
    ret(3, 0, 55, whole),
    ret(4, 0, 4, '04030904'),
    ret(5, 0, 6, '06034e003000'),
    ret(6, 0, 10, '0a060002000000400100'),
    ret(7, -32, 0),
  ]);
});

test('descriptors of a SuperSpeed device: companions and a BOS', () => {
  const { device, written } = make('super', 1);
  device.receive(control(1, '8006000100001200', 18));
  device.receive(control(2, '8006000200002c00', 44));
  device.receive(control(3, '8006000f00001600', 22));
  expect(written[0]).toBe(ret(1, 0, 18, '1201000300000009091274740008010203 01'.replace(' ', '')));
  expect(written[1]?.slice(96)).toBe(
    '09022c00010100c0000904000002ffffff0207058102000400063000000000070501020004000630000000 00'.replace(' ', ''),
  );
  expect(written[2]?.slice(96)).toBe('050f1600020710020000000 00a1003000e00020aff07'.replace(' ', ''));
});

test('other standard requests: what can be said is said, what sets something is taken, the rest stalls', () => {
  const { device, written } = make();
  device.receive(control(1, '8000000000000200', 2));
  device.receive(control(2, '8200000081000200', 2));
  device.receive(control(3, '8008000000000100', 1));
  device.receive(submit(4, 0, 'out', 0, { setup: '0009010000000000' }));
  device.receive(submit(5, 0, 'out', 0, { setup: '0201000081000000' }));
  device.receive(control(6, '80ff000000000200', 2));
  expect(written).toEqual([
    ret(1, 0, 2, '0100'),
    ret(2, 0, 2, '0000'),
    ret(3, 0, 1, '01'),
    ret(4, 0, 0),
    ret(5, 0, 0),
    ret(6, -32, 0),
  ]);
});

test('vendor requests go to the chip, and its refusal stalls', () => {
  const { device, written, calls } = make();
  device.receive(control(1, 'c005000001000200', 2));
  device.receive(submit(2, 0, 'out', 0, { setup: '4001010101000000' }));
  device.receive(submit(3, 0, 'out', 0, { setup: '4063000001000000' }));
  expect(calls).toEqual(['control 5 0 1 ', 'control 1 257 1 ', 'control 99 0 1 ']);
  expect(written).toEqual([ret(1, 0, 2, '3160'), ret(2, 0, 0), ret(3, -32, 0)]);
});

test('data in: transfers are filled in order, and wanted is said once', () => {
  const { device, written, calls } = make();
  expect(device.room(0)).toBe(0);
  device.receive(submit(10, 1, 'in', 512));
  device.receive(submit(11, 1, 'in', 512));
  device.receive(submit(12, 2, 'in', 512));
  expect(calls).toEqual(['wanted 0', 'wanted 1']);
  expect(device.room(0)).toBe(512);
  device.fill(0, hex('316041'));
  device.fill(0, hex('3160'));
  expect(device.room(0)).toBe(0);
  expect(() => device.fill(0, hex('00'))).toThrow(RangeError);
  expect(written).toEqual([ret(10, 0, 3, '316041'), ret(11, 0, 2, '3160')]);
});

test('data out waits until it is taken, and is answered in any order', () => {
  const { device, written, calls } = make();
  device.receive(submit(1, 1, 'out', 3, { data: '616263' }));
  device.receive(submit(2, 2, 'out', 1, { data: '64' }));
  expect(calls).toEqual(['out 0 1 616263', 'out 1 2 64']);
  expect(written).toEqual([]);
  device.completeOut(2);
  device.completeOut(1);
  device.completeOut(1);
  expect(written).toEqual([ret(2, 0, 1), ret(1, 0, 3)]);
});

test('an unlink is always answered, and what is unlinked never', () => {
  const { device, written, calls } = make();
  device.receive(submit(1, 1, 'in', 512));
  device.receive(submit(2, 1, 'in', 512));
  device.receive(submit(3, 1, 'out', 1, { data: '61' }));
  device.receive(unlink(4, 1));
  device.receive(unlink(5, 3));
  device.receive(unlink(6, 2));
  device.receive(unlink(7, 1));
  device.completeOut(3);
  const answer = (seqnum: number, status: number) => ret(seqnum, status, 0).replace(/^00000003/, '00000004');
  expect(written).toEqual([answer(4, -104), answer(5, -104), answer(6, -104), answer(7, 0)]);
  expect(calls.at(-1)).toBe('unwanted 0');
});

test('an endpoint that does not exist stalls', () => {
  const { device, written } = make();
  device.receive(submit(1, 3, 'in', 512));
  device.receive(submit(2, 15, 'out', 1, { data: '61' }));
  expect(written).toEqual([ret(1, -32, 0), ret(2, -32, 0)]);
});

test('more transfers than any driver has are nonsense, and nothing follows', () => {
  const { device, written, calls } = make();
  for (let n = 0; n < 40; n++) device.receive(submit(n, 1, 'in', 512));
  expect(calls.at(-1)).toMatch(/^lost: 32 transfers/);
  device.receive(control(99, '8006000100001200'));
  expect(written).toEqual([]);
});

test.each([
  ['another command', hex('00000009'), /command 9/],
  ['a direction that is none', hex('000000010000000100000000 00000002'.replace(' ', '')), /direction 2/],
  [
    'a transfer too large to keep',
    hex('0000000100000001000000000000000000000001000000000fffffff'),
    /transfer of 268435455/,
  ],
])('%s is nonsense', (_, beginning, reason) => {
  const { device, calls } = make();
  const message = new Uint8Array(48);
  message.set(beginning);
  device.receive(message);
  expect(calls[0]).toMatch(reason);
  expect(calls).toHaveLength(1);
});

test('where the bytes are cut changes nothing', () => {
  const stream = Buffer.concat([
    submit(1, 0, 'out', 3, { setup: '4003000000000300', data: '010203' }),
    submit(2, 1, 'out', 256, { data: 'ab'.repeat(256) }),
    submit(3, 1, 'in', 512),
    unlink(4, 3),
  ]);
  const decode = (chunks: readonly Uint8Array[]) => {
    const messages: Message[] = [];
    const decoder = new UsbipDecoder();
    for (const chunk of chunks) {
      decoder.decode(chunk, (m) =>
        messages.push(
          m.type === 'submit' ? { ...m, data: Uint8Array.from(m.data), setup: Uint8Array.from(m.setup) } : m,
        ),
      );
    }
    expect(decoder.pending).toHaveLength(0);
    return messages;
  };
  const whole = decode([stream]);
  expect(whole.map(({ type }) => type)).toEqual(['submit', 'submit', 'submit', 'unlink']);
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 20 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
      expect(decode(at.slice(1).map((end, i) => stream.subarray(at[i], end)))).toEqual(whole);
    }),
  );
});

test('whatever comes: every message is answered at most once, and nothing throws', () => {
  const word = fc.oneof(fc.nat(5), fc.nat(0xffff));
  const message = fc.tuple(
    fc.constantFrom(1, 1, 1, 2, 7),
    word,
    fc.nat(2),
    fc.nat(17),
    fc.nat(300),
    fc.uint8Array({ minLength: 8, maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const answered: number[] = [];
      let lost = 0;
      const device = new UsbDevice(
        description('high', 3),
        {
          control: () => new Uint8Array(0),
          out: (_, n) => device.completeOut(n),
          wanted: () => {},
          unwanted: () => {},
        },
        (bytes) => answered.push(Buffer.from(bytes).readUInt32BE(4)),
        () => lost++,
      );
      for (const [n, [command, target, direction, endpoint, length, setup]] of messages.entries()) {
        const head = Buffer.alloc(48 + (direction === 0 && command === 1 ? length : 0));
        for (const [i, value] of [command, n, 0, direction, endpoint, command === 2 ? target : 0, length].entries())
          head.writeUInt32BE(value, 4 * i);
        Buffer.from(setup).copy(head, 40);
        device.receive(head);
      }
      expect(new Set(answered).size).toBe(answered.length);
      expect(lost).toBeLessThanOrEqual(1);
    }),
  );
});

test('a setup is little-endian', () => {
  expect(parseSetup(hex('c005010203040600'))).toEqual({
    requestType: 0xc0,
    request: 5,
    value: 0x0201,
    index: 0x0403,
    length: 6,
  });
});
