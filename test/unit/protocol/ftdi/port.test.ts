// One port of the chip, by the requests that ftdi_sio sends (drivers/usb/serial/ftdi_sio.c).
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { divisorCode, rateOfCode } from '../../../../src/protocol/ftdi/baud-rate.js';
import { errorStatus, type FtdiEvent, FtdiPort, modemStatus } from '../../../../src/protocol/ftdi/port.js';

function make() {
  const port = new FtdiPort();
  const events: FtdiEvent[] = [];
  const request = (number: number, value = 0, index = 1) =>
    port.control({ requestType: 0x40, request: number, value, index, length: 0 }, (event) => events.push(event));
  return { port, events, request };
}

// The divisor 12e6/9600 = 1250 (0x04e2), high-speed clock: bit 17, which wIndex carries as 0x0200.
test.each([
  [9600, 0x204e2],
  [115_200, 0x2c068],
  [19_200, 0x20271],
  [300, 0x02710],
  [3_000_000, 0x20004],
  [12_000_000, 0x20000],
])('%d baud is code %x', (rate, code) => {
  expect(divisorCode(rate)).toBe(code);
  expect(rateOfCode(code)).toBe(rate);
});

test('every usual rate is what its code means, any other is within 0.2 %', () => {
  for (const rate of [
    50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400,
    460_800, 921_600, 4_000_000,
  ]) {
    expect(rateOfCode(divisorCode(rate))).toBe(rate);
  }
  fc.assert(
    fc.property(fc.integer({ min: 1200, max: 1_000_000 }), (rate) => {
      expect(Math.abs(rateOfCode(divisorCode(rate)) - rate) / rate).toBeLessThan(0.007);
    }),
  );
});

test('the requests of an open', () => {
  const { port, events, request } = make();
  request(0, 0);
  request(4, 0x0008);
  request(3, 0x04e2, 0x0201);
  request(1, 0x0303);
  request(2, 0, 0x0001);
  expect(events).toEqual([{ type: 'opened' }, { type: 'lines', lines: { dtr: true, rts: true } }]);
  expect(port.settings).toMatchObject({ baudRate: 9600, dataBits: 8, parity: 'none', stopBits: 1 });
});

test.each<[number, object]>([
  [0x0207, { dataBits: 7, parity: 'even', stopBits: 1 }],
  [0x0108, { dataBits: 8, parity: 'odd', stopBits: 1 }],
  [0x1008, { dataBits: 8, parity: 'none', stopBits: 2 }],
  [0x0300, { dataBits: 5, parity: 'mark', stopBits: 1 }],
  [0x0408, { dataBits: 8, parity: 'space', stopBits: 1 }],
])('line %x', (value, expected) => {
  const { port, request } = make();
  expect(request(4, value)).toHaveLength(0);
  expect(port.settings).toMatchObject(expected);
});

test('break on and off are events of their own', () => {
  const { events, request } = make();
  request(4, 0x4008);
  request(4, 0x4008);
  request(4, 0x0008);
  expect(events).toEqual([
    { type: 'break', on: true },
    { type: 'break', on: false },
  ]);
});

test('flow control: RTS/CTS, XON/XOFF with its characters', () => {
  const { port, request } = make();
  request(2, 0, 0x0101);
  expect(port.settings.flowControl).toMatchObject({ rtsCts: true, xonXoffOut: false });
  request(2, 0x1412, 0x0401);
  expect(port.settings.flowControl).toMatchObject({ rtsCts: false, xonXoffOut: true, xon: 0x12, xoff: 0x14 });
});

test('one line alone', () => {
  const { port, request } = make();
  request(1, 0x0101);
  expect(port.lines).toEqual({ dtr: true, rts: false });
  request(1, 0x0202);
  expect(port.lines).toEqual({ dtr: true, rts: true });
  request(1, 0x0200);
  expect(port.lines).toEqual({ dtr: true, rts: false });
});

test('what nobody knows is refused, and changes nothing', () => {
  const { port, request, events } = make();
  const before = port.settings;
  for (const [number, value] of [
    [0x90, 0],
    [200, 0],
    [4, 0x0508],
    [4, 0x1c08],
    [4, 0x0009],
  ] as const) {
    expect(request(number, value)).toBeUndefined();
  }
  expect(port.settings).toEqual(before);
  expect(events).toEqual([]);
});

test('what was set is another state, what was not is the same; a port goes on from it', () => {
  const { port, request } = make();
  const first = port.state;
  request(1, 0x0303);
  request(4, 0x4207);
  expect(port.state).not.toBe(first);
  const second = port.state;
  request(1, 0x0303);
  request(4, 0x4207);
  request(9, 16);
  expect(port.state).toBe(second);
  const next = new FtdiPort(JSON.parse(JSON.stringify(second)));
  expect(next.state).toEqual(second);
  next.reset();
  expect(next.state).toEqual({ settings: second.settings, lines: { dtr: false, rts: false }, break: false });
});

test('the status bytes', () => {
  expect(modemStatus({ cts: false, dsr: false, dcd: false, ri: false })).toBe(0x01);
  expect(modemStatus({ cts: true, dsr: false, dcd: true, ri: false })).toBe(0x91);
  expect(modemStatus({ cts: false, dsr: true, dcd: false, ri: true })).toBe(0x61);
  const none = { parity: false, framing: false, overrun: false, bufferOverrun: false };
  expect(errorStatus({ ...none, parity: true, framing: true })).toBe(0x0c);
  expect(errorStatus({ ...none, overrun: true })).toBe(0x02);
  expect(errorStatus({ ...none, bufferOverrun: true })).toBe(0x02);
});
