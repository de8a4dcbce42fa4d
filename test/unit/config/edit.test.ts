// Edits of a configuration's text: what means something changes as asked, and everything else stays byte for byte.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { addServer, removeEntries } from '../../../src/config/edit.js';

const FILE = `# Our plant. Ask Anna before you change it.
version: 1
defaults: { tty: { group: dialout, mode: "0660" } }   # everybody
servers:                              # device servers
  # the old building
  boiler-house: { address: 192.168.127.254, ports: 16, firstTty: ttyNP0 }   # cellar
  hall-2:       { address: "fe80::1%eth1", ports: 2, firstTty: ttyr10 }

  # the new building
  press:
    address: plc.example   # by name
    ports: 4

ttys:                                 # only what differs
  ttyNP7: { format: 7E1, alias: [gas-meter] }
  plc3:   { server: hall-2, port: 1 }
# the end
`;
const OPTIONS = { address: '10.0.0.1', ports: 2, firstTty: 'ttyNP16' };
const LINE = 'new: { address: 10.0.0.1, ports: 2, firstTty: ttyNP16 }';

describe('add', () => {
  test('one line goes in, below the last server', () => {
    expect(addServer(FILE, 'new', OPTIONS)).toBe(FILE.replace('    ports: 4\n', `    ports: 4\n  ${LINE}\n`));
  });

  // [what it shows, before, after]
  const files: [string, string, string][] = [
    ['no servers yet', 'version: 1 # one\n', `version: 1 # one\nservers:\n  ${LINE}\n`],
    [
      'no newline at the end',
      'version: 1\nservers:\n    a: {address: b}',
      `version: 1\nservers:\n    a: {address: b}\n    ${LINE}\n`,
    ],
    [
      'a comment at the last line',
      'servers:\n  a: { address: b } # {\n# end\n',
      `servers:\n  a: { address: b } # {\n  ${LINE}\n# end\n`,
    ],
  ];
  for (const [shows, before, after] of files) test(shows, () => expect(addServer(before, 'new', OPTIONS)).toBe(after));

  for (const before of [
    'version: 1\nservers:   # none yet\nttys: {}\n',
    'version: 1\nservers: { a: { address: b } }   # none yet\n',
    '# none yet\nversion: 1\nservers: {}\n',
    '{ "version": 1, "servers": { "a": { "address": "b" } } } # none yet',
  ])
    test(`other shapes keep their comments too: ${JSON.stringify(before)}`, () => {
      const after = addServer(before, 'new', OPTIONS);
      expect(parse(after)).toMatchObject({ version: 1, servers: { ...parse(before).servers, new: OPTIONS } });
      expect(after).toContain('# none yet');
    });

  test('an address that YAML would misread is quoted', () => {
    const after = addServer(FILE, 'v6', { ...OPTIONS, address: 'fe80::1%eth1' });
    expect(parse(after).servers.v6.address).toBe('fe80::1%eth1');
  });
});

describe('remove', () => {
  test('its lines go, the comments around it stay', () => {
    expect(removeEntries(FILE, [['servers', 'boiler-house']])).toBe(FILE.replace(/ {2}boiler-house.*\n/, ''));
    expect(removeEntries(FILE, [['servers', 'press']])).toBe(FILE.replace(/ {2}press:\n.*\n.*\n/, ''));
    const both = removeEntries(FILE, [
      ['ttys', 'plc3'],
      ['servers', 'hall-2'],
    ]);
    expect(both).toBe(FILE.replace(/ {2}hall-2.*\n/, '').replace(/ {2}plc3.*\n/, ''));
  });

  test('the last one leaves an empty section, and JSON stays what it means', () => {
    expect(
      parse(removeEntries('version: 1\nservers:\n  a: { address: b }\n', [['servers', 'a']])).servers ?? {},
    ).toEqual({});
    const json = '{ "version": 1, "servers": { "a": { "address": "b" }, "c": { "address": "d" } } }';
    expect(parse(removeEntries(json, [['servers', 'a']]))).toEqual({ version: 1, servers: { c: { address: 'd' } } });
  });

  test('what others refer to cannot be taken out', () => {
    const file = 'servers:\n  a: &a { address: b }\n  c: { <<: *a, address: d }\n';
    expect(() => removeEntries(file, [['servers', 'a']])).toThrow(/cannot be edited here/);
  });
});

test('adding and removing again gives the file back, comments and all', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/);
  const gap = fc.constantFrom('', '\n', '  # a comment\n', '\n# left\n\n');
  const entry = fc.tuple(name, fc.constantFrom('{ address: h }', '\n    address: h', '{ address: "a#b" }  # why'), gap);
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ([n]) => n, minLength: 1, maxLength: 5 }), gap, (entries, end) => {
      const file = `version: 1\nservers:\n${entries.map(([n, value, g]) => `  s-${n}: ${value}\n${g}`).join('')}${end}ttys: {}\n`;
      const added = addServer(file, 'new', OPTIONS);
      expect(parse(added).servers).toEqual({ ...parse(file).servers, new: OPTIONS });
      expect(removeEntries(added, [['servers', 'new']])).toBe(file);
    }),
  );
});
