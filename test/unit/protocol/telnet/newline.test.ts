// Ends of lines, both ways, and that nothing depends on where a chunk is cut.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DeviceNewline, ToClient, ToDevice } from '../../../../src/protocol/telnet/newline.js';

const mapAll = (one: ToClient | ToDevice, ...chunks: string[]) =>
  chunks.map((chunk) => Buffer.from(one.map(Buffer.from(chunk, 'latin1'))).toString('latin1')).join('');

describe('to the device', () => {
  test.each<[DeviceNewline, string, string]>([
    ['cr', 'a\r\nb', 'a\rb'],
    ['lf', 'a\r\nb', 'a\nb'],
    ['cr-lf', 'a\r\nb', 'a\r\nb'],
    ['lf', 'a\r\0b', 'a\nb'],
    ['cr', 'a\rb', 'a\rb'],
    ['lf', '\r\r\n\r\0', '\n\n\n'],
    ['cr', 'a\nb\0', 'a\nb\0'],
    ['cr', '\r\n\n', '\r\n'],
  ])('%s: %j is %j', (newline, sent, expected) => {
    expect(mapAll(new ToDevice(newline), sent)).toBe(expected);
    expect(mapAll(new ToDevice(newline), ...sent)).toBe(expected);
  });
});

describe('to the client', () => {
  test.each<[DeviceNewline, string, string]>([
    ['cr-lf', 'a\r\nb', 'a\r\nb'],
    ['cr-lf', 'a\rb', 'a\r\0b'],
    ['cr-lf', '\r\r\n', '\r\0\r\n'],
    ['cr', 'a\rb', 'a\r\nb'],
    ['lf', 'a\nb', 'a\r\nb'],
    ['lf', 'a\rb', 'a\r\0b'],
    ['lf', '\r\n', '\r\0\r\n'],
  ])('%s: %j is %j', (newline, sent, expected) => {
    expect(mapAll(new ToClient(newline), sent)).toBe(expected);
    expect(mapAll(new ToClient(newline), ...sent)).toBe(expected);
  });
});

const likely = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '\0', 'b'), maxLength: 40 });
const newlines = fc.constantFrom<DeviceNewline>('cr-lf', 'cr', 'lf');

test('where it is cut changes nothing', () => {
  fc.assert(
    fc.property(newlines, fc.array(likely, { maxLength: 6 }), (newline, chunks) => {
      for (const make of [() => new ToDevice(newline), () => new ToClient(newline)])
        expect(mapAll(make(), ...chunks)).toBe(mapAll(make(), chunks.join('')));
    }),
    { numRuns: 1000 },
  );
});

test('lines of text arrive as lines of text, whatever ends them', () => {
  fc.assert(
    fc.property(newlines, fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 5 })), (newline, lines) => {
      const end = { 'cr-lf': '\r\n', cr: '\r', lf: '\n' }[newline];
      expect(mapAll(new ToDevice(newline), lines.map((line) => `${line}\r\n`).join(''))).toBe(
        lines.map((line) => line + end).join(''),
      );
      expect(mapAll(new ToClient(newline), lines.map((line) => line + end).join(''))).toBe(
        lines.map((line) => `${line}\r\n`).join(''),
      );
    }),
  );
});
