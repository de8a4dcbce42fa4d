// The answers on UDP 4800, byte for byte. The search request is that of the vendor's Linux daemon as captured on the wire; the
// other requests and all lengths are those of docs/protocol/dsci.md.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerDsci, type DsciDevice, type DsciSocket } from '../../../../src/protocol/dsci/responder.js';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

const DEVICE: DsciDevice = {
  apId: 0x80005610,
  hwId: 0x5613,
  mac: hex('020406080a0c'),
  address: hex('c0a8010a'),
  name: 'rack-4',
  firmware: { major: 1, minor: 2 },
};
const ID = '10 56 00 80 13 56 02 04 06 08 0a 0c';
const TIME = '00 01 e2 40';

const listen: DsciSocket = {
  state: 'listen',
  local: hex('00000000'),
  localPort: 950,
  remote: hex('00000000'),
  remotePort: 0,
};
const open: DsciSocket = {
  state: 'established',
  local: hex('c0a8010a'),
  localPort: 950,
  remote: hex('c0a80114'),
  remotePort: 58074,
};
const SOCKETS = {
  ipv4: [listen, open],
  ipv6: [{ ...open, local: new Uint8Array(16).fill(1), remote: new Uint8Array(16).fill(2) }],
};

function ask(request: Uint8Array, sockets = SOCKETS) {
  const answer = answerDsci(request, DEVICE, () => sockets);
  return answer.type === 'reply' ? Buffer.from(answer.bytes).toString('hex') : answer.why;
}
const text = (bytes: string) => Buffer.from(hex(bytes)).toString('hex');

test.each([
  ['search, as captured', '01 00 00 08 00 00 00 00', `81 00 00 18 00 00 00 00 ${ID} c0 a8 01 0a`],
  ['search with an id', `01 00 00 08 ${TIME}`, `81 00 00 18 ${TIME} ${ID} c0 a8 01 0a`],
  ['search for this device', `01 00 00 14 ${TIME} ${ID}`, `81 00 00 18 ${TIME} ${ID} c0 a8 01 0a`],
  [
    'kernel information',
    `16 00 00 14 ${TIME} ${ID}`,
    `96 00 00 24 ${TIME} ${ID} 00 00 02 01 00 00 00 00 00 00 00 00 00 00 00 00`,
  ],
  ['name', `10 00 00 14 ${TIME} ${ID}`, `90 00 00 3c ${TIME} ${ID} 72 61 63 6b 2d 34 ${'00 '.repeat(34)}`],
  [
    'netstat: ports little-endian, LISTEN 1, ESTABLISHED 4',
    `14 00 00 16 ${TIME} ${ID} 80 00`,
    `94 00 00 38 ${TIME} ${ID} 02 00 00 00 00 00 00 00 00 00 00 00 00 00 b6 03 01 01 00 00
     c0 a8 01 14 c0 a8 01 0a da e2 b6 03 01 04 00 00`.replaceAll('\n', ' '),
  ],
  [
    'netstat-ex from entry 1',
    `1d 00 00 18 ${TIME} ${ID} 00 ff 01 00`,
    `9d 00 00 28 ${TIME} ${ID} 01 00 00 00 c0 a8 01 14 c0 a8 01 0a da e2 b6 03 01 04 00 00`,
  ],
  [
    'IPv6 search',
    `79 00 00 1c ${TIME} ${'00 '.repeat(12)} 01 00 00 00 00 01 00 01`,
    `f9 00 00 2c ${TIME} ${ID} 01 00 00 00 00 01 00 01 ${'00 '.repeat(16)}`,
  ],
  [
    'IPv6 netstat: big-endian',
    `79 00 00 20 ${TIME} ${ID} 01 00 00 00 00 02 00 04 00 40 00 00`,
    `f9 00 00 48 ${TIME} ${ID} 01 00 00 00 00 02 00 04 00 01 00 00 ${'02 '.repeat(16)} ${'01 '.repeat(16)} e2 da 03 b6 01 04 00 00`,
  ],
])('%s', (_, request, reply) => {
  expect(ask(hex(request))).toBe(text(reply));
});

test('a host that remembers another device here is told which this is', () => {
  const other = '10 51 00 80 10 51 00 00 00 00 00 01';
  expect(ask(hex(`14 00 00 16 ${TIME} ${other} 80 00`), { ipv4: [], ipv6: [] })).toBe(
    text(`94 00 00 18 ${TIME} ${ID} 00 00 00 00`),
  );
  expect(ask(hex(`01 00 00 14 ${TIME} ${other}`))).toBe('others');
});

test('more sockets than a reply holds: pages, and the host is told to ask for them', () => {
  const ipv4 = Array.from({ length: 150 }, (_, i) => ({ ...open, remotePort: i + 1 }));
  const sockets = {
    ipv4,
    ipv6: ipv4.map((one) => ({ ...one, local: new Uint8Array(16), remote: new Uint8Array(16) })),
  };
  expect(ask(hex(`16 00 00 14 ${TIME} ${ID}`), sockets).slice(-4)).toBe('0100');
  const seen: number[] = [];
  let start = 0;
  do {
    const request = hex(`1d 00 00 18 ${TIME} ${ID} 00 ff 00 00`);
    new DataView(request.buffer).setUint16(22, start, true);
    const reply = Buffer.from(ask(request, sockets), 'hex');
    expect(reply.length).toBeLessThanOrEqual(1472);
    const count = reply.readUInt16LE(20);
    expect(reply.length).toBe(24 + 16 * count);
    for (let i = 0; i < count; i++) seen.push(reply.readUInt16LE(24 + 16 * i + 8));
    start = reply.readUInt16LE(22);
  } while (start !== 0);
  expect(seen).toEqual(ipv4.map(({ remotePort }) => remotePort));
  expect(ask(hex(`79 00 00 20 ${TIME} ${ID} 01 00 00 00 00 02 00 04 00 40 00 00`), sockets).slice(56, 64)).toBe(
    '00200020',
  );
  expect(ask(hex(`1d 00 00 18 ${TIME} ${ID} 00 ff ff ff`), sockets)).toBe(
    text(`9d 00 00 18 ${TIME} ${ID} 00 00 00 00`),
  );
});

test.each([
  ['nothing', '', 'malformed'],
  ['less than a header', '01 00 00 07 00 00 00', 'malformed'],
  ['a length that lies', '01 00 00 09 00 00 00 00', 'malformed'],
  ['bytes behind', '01 00 00 08 00 00 00 00 00', 'malformed'],
  ['an answer', `81 00 00 18 ${TIME} ${ID} c0 a8 01 0a`, 'unsupported'],
  ['netstat without its maximum', `14 00 00 14 ${TIME} ${ID}`, 'malformed'],
  ['the setting of an address', `a1 00 00 18 ${TIME} ${ID} 0a 00 00 01`, 'unsupported'],
  ['a restart', `17 00 00 14 ${TIME} ${ID}`, 'unsupported'],
  ['an extension without its header', `79 00 00 14 ${TIME} ${ID}`, 'malformed'],
  ['another extension', `79 00 00 1c ${TIME} ${ID} 01 00 00 00 00 03 00 01`, 'unsupported'],
])('%s gets no answer', (_, request, why) => {
  expect(ask(hex(request))).toBe(why);
});

test('whatever comes: an answer has the length that it says, fits a frame, and is never answered itself', () => {
  const code = fc.oneof(fc.constantFrom(0x01, 0x10, 0x14, 0x16, 0x1d, 0x79), fc.integer({ min: 0, max: 255 }));
  const packet = fc
    .tuple(code, fc.uint8Array({ maxLength: 2048 }), fc.boolean(), fc.constantFrom(8, 20, 22, 24, 28, 32, undefined))
    .map(([first, rest, honest, length]) => {
      const bytes = new Uint8Array(length ?? rest.length);
      bytes.set(rest.subarray(0, bytes.length));
      if (bytes.length > 0) bytes[0] = first;
      if (honest && bytes.length >= 4) new DataView(bytes.buffer).setUint16(2, bytes.length);
      return bytes;
    });
  fc.assert(
    fc.property(packet, (request) => {
      const before = request.slice();
      const answer = answerDsci(request, DEVICE, () => SOCKETS);
      expect(request).toEqual(before);
      if (answer.type === 'none') return;
      expect(answer.bytes.length).toBeLessThanOrEqual(1472);
      expect(new DataView(answer.bytes.buffer).getUint16(2)).toBe(answer.bytes.length);
      expect(answerDsci(answer.bytes, DEVICE, () => SOCKETS).type).toBe('none');
    }),
    { numRuns: 2000 },
  );
});
