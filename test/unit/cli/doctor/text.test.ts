import { describe, expect, test } from 'vitest';
import { failed, notChecked, ok } from '../../../../src/cli/doctor/check.js';
import { inodeOf, lockNames, parseKernelLocks, parseLockFile } from '../../../../src/cli/doctor/locks.js';
import { looksLike, printable } from '../../../../src/cli/doctor/probe.js';
import { renderChecks, wrap } from '../../../../src/cli/doctor/render.js';

const bytes = (text: string) => new TextEncoder().encode(text);

test('lock files: ten characters of decimal, or four bytes', () => {
  expect(parseLockFile(bytes('      1234\n'))).toBe(1234);
  expect(parseLockFile(bytes('1234'))).toBe(1234);
  expect(parseLockFile(bytes('      1234 minicom ada\n'))).toBe(1234);
  expect(parseLockFile(Uint8Array.of(0xd2, 4, 0, 0))).toBe(1234);
  expect(parseLockFile(bytes('none'))).toBe(0x656e6f6e); // four bytes are a number, whatever they spell
  expect(parseLockFile(bytes('nobody\n'))).toBeUndefined();
  expect(parseLockFile(bytes(''))).toBeUndefined();
});

test('the names of lock files', () => {
  expect([...lockNames(['/dev/ttyNP0', '/dev/pts/5', '/run/ttynp/ttyNP0', 'scale'])].sort()).toEqual([
    'LCK..pts5',
    'LCK..pts_5',
    'LCK..scale',
    'LCK..ttyNP0',
  ]);
});

test('the kernel’s locks, by device and inode', () => {
  const text = [
    '1: POSIX  ADVISORY  WRITE 708 08:01:8 0 EOF',
    '2: FLOCK  ADVISORY  WRITE 709 00:18:8 0 EOF',
    '2: -> FLOCK  ADVISORY  WRITE 710 00:18:8 0 EOF',
    '3: FLOCK  ADVISORY  WRITE 711 00:18:9 0 EOF',
    '',
  ].join('\n');
  expect(parseKernelLocks(text, { major: 0, minor: 0x18, ino: 8 })).toEqual([{ kind: 'FLOCK', pid: 709 }]);
  expect(inodeOf({ dev: 0x801, ino: 8 })).toEqual({ major: 8, minor: 1, ino: 8 });
  expect(inodeOf({ dev: 0x100105, ino: 1 })).toEqual({ major: 1, minor: 0x105, ino: 1 });
});

describe('what answers instead of a device server', () => {
  test.each([
    ['HTTP/1.1 400 Bad Request', 'a web server'],
    ['SSH-2.0-OpenSSH_9', 'an SSH server'],
    ['220 mail ready', 'a mail or FTP server'],
    ['whatever', undefined],
  ])('%s', (text, expected) => expect(looksLike(bytes(text))).toBe(expected));

  test('telnet and TLS', () => {
    expect(looksLike(Uint8Array.of(0xff, 0xfd, 0x18))).toMatch(/telnet/);
    expect(looksLike(Uint8Array.of(0x15, 0x03, 0x01))).toMatch(/TLS/);
  });

  test('shown as text where it is text', () => {
    expect(printable(bytes('HTTP/1.1 400 Bad Request\r\nConnection: close'))).toBe('"HTTP/1.1 400 Bad Request"...');
    expect(printable(Uint8Array.of(1, 2, 0xff))).toBe('01 02 ff');
  });
});

describe('text', () => {
  const checks = [
    ok('daemon', 'running'),
    failed(
      'command port',
      '192.168.127.254:966 refuses connections',
      'set the operation mode to Real COM, or correct the numbers of the ports in the file',
    ),
    notChecked('PORT_INIT', 'needs both connections'),
  ];

  test('fits the terminal, one step a line, the hint below', () => {
    const lines = renderChecks('ttyNP0', checks, { columns: 80, colour: false });
    expect(lines).toEqual([
      'ttyNP0',
      '',
      '  ok           daemon        running',
      '  FAILED       command port  192.168.127.254:966 refuses connections',
      '                             -> set the operation mode to Real COM, or correct',
      '                                the numbers of the ports in the file',
      '  not checked  PORT_INIT     needs both connections',
      '',
      '1 failed, 1 ok, 1 not checked',
    ]);
    for (const columns of [20, 60, 80, 300]) {
      const widest = Math.max(...renderChecks('x', checks, { columns, colour: false }).map((line) => line.length));
      expect(widest).toBeLessThanOrEqual(Math.min(100, Math.max(60, columns)));
    }
  });

  test('escapes only where colours are wanted', () => {
    expect(renderChecks('x', checks, { columns: 80, colour: false }).join('')).not.toContain('\u001b');
    expect(renderChecks('x', checks, { columns: 80, colour: true }).join('')).toContain('\u001b[1;31mFAILED');
  });

  test('a word longer than the line stands alone', () => {
    expect(wrap('a bbbbbbbbbb c', 5)).toEqual(['a', 'bbbbbbbbbb', 'c']);
  });
});
