// A whole npreal2d.cf, as years of mxaddsvr and editors leave it: what comes out is loaded as the daemon would, and
// compared port by port with what went in.
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { importText } from '../../../../src/config/import/import.js';
import type { ResolvedConfig } from '../../../../src/config/resolved.js';
import { Folder } from './support.js';

const folder = new Folder();
afterAll(() => folder.remove());

const read = (text: string, rename?: string) => importText(text, { from: 'npreal2d.cf', kind: 'npreal2', rename });
const ttyOf = (config: ResolvedConfig, name: string) => config.ttys.find((tty) => tty.name === name);
const hex = (n: number) => n.toString(16).padStart(2, '0');

interface Wanted {
  readonly address: string;
  readonly dataPort: number;
  readonly commandPort: number;
  readonly fifoBytes: number;
}

/** 200 lines: what they are to become is noted where they are made. */
function bigFile() {
  const lines: string[] = [];
  const imported = new Map<string, Wanted>();
  const byHand = new Set<string>();
  let minor = 0;
  const add = (address: string, data: number, command: number, more: { fifo?: number; zone?: string } = {}) => {
    const { fifo = 1, zone = '0' } = more;
    const name = `ttyr${hex(minor)}`;
    const gap = minor % 3 === 0 ? '\t' : minor % 3 === 1 ? '  ' : ' \t ';
    lines.push(
      [minor, address, data, command, fifo, 0, name, `cur${hex(minor)}`, zone, 0].join(gap) + (minor % 2 ? '\t' : ''),
    );
    const full = zone === '0' ? address : `${address}%${zone}`;
    imported.set(name, { address: full, dataPort: data, commandPort: command, fifoBytes: fifo === 1 ? 16 : 1 });
    minor++;
  };
  const addByHand = (ssl: number, mode: number, backup = '') => {
    const name = `ttyr${hex(minor)}`;
    lines.push(`${minor}\t10.9.0.1\t${950 + minor}\t${2950 + minor}\t1\t${ssl}\t${name}\tcur\t0\t${mode}\t${backup}`);
    byHand.add(name);
    minor++;
  };
  lines.push('# npreal2d.cf', '#[Minor]\t[ServerIP]\t[Data]\t[Cmd]', 'ttymajor=33', 'calloutmajor=38', '');
  for (let n = 0; n < 32; n++) add('192.168.127.254', 950 + n + (n > 15 ? 16 : 0), 966 + n + (n > 15 ? 16 : 0));
  lines.push('   # the boiler house');
  for (let n = 0; n < 16; n++) add('Boiler-House.example', 4001 + n, 5001 + n, { fifo: n % 2 });
  for (let n = 0; n < 8; n++) add('fe80::290:e8ff:fe12:3456', 950 + n, 966 + n, { zone: 'eth1' });
  for (let n = 0; n < 4; n++) add('2001:db8::7', 950 + n, 966 + n);
  for (let n = 0; n < 6; n++) addByHand(1, 0);
  for (let n = 0; n < 5; n++) addByHand(0, 1, '10.9.0.2');
  lines.push('this is no line', '7 only three', '999999 10.0.0.1 950 966 1 0 ttyrxx curxx 0 0');
  for (let n = 0; minor < 170; n++) add(`10.1.${n}.1`, 950, 966);
  while (lines.length < 200) lines.push(lines.length % 2 ? '# -------' : '');
  return { text: `${lines.join('\n')}\n`, imported, byHand };
}

describe('a file of 200 lines', () => {
  const { text, imported, byHand } = bigFile();
  const result = read(text);
  const config = folder.load(result.yaml);

  test('every plain port is there under its name, with its address, TCP ports and FIFO, and no other', () => {
    expect(config.ttys.length).toBe(imported.size);
    for (const [name, wanted] of imported) expect(ttyOf(config, name), name).toMatchObject(wanted);
  });

  test('a line with SSL or redundant mode is a comment, never a port', () => {
    expect(byHand.size).toBe(11);
    for (const name of byHand) {
      expect(ttyOf(config, name)).toBeUndefined();
      expect(result.yaml).toMatch(new RegExp(`^ *# ${name}: \\{`, 'm'));
    }
    expect(result.yaml).not.toMatch(/^ *[^#\n]*10\.9\.0\.1/m);
  });

  test('every line is accounted for', () => {
    expect(text.trimEnd().split('\n').length).toBe(200);
    expect(result.lines).toBe(200);
    const { counts } = result;
    expect(counts).toEqual({ imported: imported.size, 'needs a hand': 14, skipped: 200 - imported.size - 14 });
    expect(result.yaml).toContain('#     this is no line');
    expect(result.yaml).toContain('#     7 only three');
  });

  test('ports by the table say no TCP ports, the others do', () => {
    expect(result.yaml).toMatch(/^ {2}ttyr1f: \{ server: 192\.168\.127\.254, port: 32 \} /m);
    expect(result.yaml).toMatch(
      /^ {2}ttyr20: \{ server: boiler-house\.example, port: 1, dataPort: 4001, commandPort: 5001,/m,
    );
    expect(config.servers.length).toBe(4 + (170 - 71));
  });

  test('--rename numbers them anew, in the order of the file', () => {
    const renamed = read(text, 'ttyNP');
    const { ttys } = folder.load(renamed.yaml);
    expect(ttys.length).toBe(imported.size);
    expect(renamed.rows.filter((row) => row.new !== undefined).map((row) => row.new)).toEqual(
      Array.from({ length: 170 }, (_, n) => `ttyNP${n}`),
    );
    const old = renamed.rows.find((row) => row.new === 'ttyNP40')?.old;
    expect(old).toBe('ttyr28');
    expect(ttys.find((tty) => tty.name === 'ttyNP40')).toMatchObject(imported.get('ttyr28') ?? {});
  });
});

describe('single lines', () => {
  // [what it shows, the line, outcome, what the reason has]
  const lines: [string, string, string, RegExp | undefined][] = [
    ['10 columns', '0 10.0.0.1 950 966 1 0 ttyr00 cur00 0 0', 'imported', undefined],
    ['11 columns', '0\t10.0.0.1\t950\t966\t1\t0\tttyr00\tcur00\t0\t0\t10.0.0.2', 'imported', undefined],
    ['9 columns, without SSL', '0 10.0.0.1 950 966 1 ttyr00 cur00 0 0', 'imported', undefined],
    ['9 columns in redundant mode', '0 10.0.0.1 950 966 1 ttyr00 cur00 0 1 10.0.0.2', 'needs a hand', /redundant/],
    ['7 columns, the first drivers', '0 10.0.0.1 950 966 1 ttyr00 cur00', 'imported', undefined],
    ['6 columns with a port number', '0 10.0.0.1 3 1 ttyr00 cur00', 'needs a hand', /port 3/],
    ['a line cut short', '0 10.0.0.1 950 966 1 0 ttyr00 cur00', 'needs a hand', /8 columns/],
    ['SSL', '0 10.0.0.1 950 966 1 1 ttyr00 cur00 0 0', 'needs a hand', /SSL is on/],
    ['redundant without SSL', '0 10.0.0.1 950 966 1 0 ttyr00 cur00 0 1 10.0.0.2', 'needs a hand', /10\.0\.0\.2/],
    ['a mode of the future', '0 10.0.0.1 950 966 1 0 ttyr00 cur00 0 2', 'needs a hand', /mode 2/],
    ['fe80 without interface', '0 fe80::1 950 966 1 0 ttyr00 cur00 0 0', 'needs a hand', /interface/],
    ['an interface for nothing', '0 10.0.0.1 950 966 1 0 ttyr00 cur00 eth1 0', 'imported', /left out/],
    ['a name with a slash', '0 10.0.0.1 950 966 1 0 a/b cur00 0 0', 'needs a hand', /"a\/b" is no name/],
    ['a name of the daemon', '0 10.0.0.1 950 966 1 0 control.sock cur00 0 0', 'needs a hand', /is no name/],
    ['no address', '0 10.0.0.300 950 966 1 0 ttyr00 cur00 0 0', 'needs a hand', /is no address/],
    ['no TCP ports', '0 10.0.0.1 0 70000 1 0 ttyr00 cur00 0 0', 'needs a hand', /no TCP port/],
    ['one TCP port', '0 10.0.0.1 950 950 1 0 ttyr00 cur00 0 0', 'needs a hand', /both 950/],
    ['a comment behind it', '0 10.0.0.1 950 966 1 0 ttyr00 cur00 0 0 # scale', 'imported', undefined],
    ['a setting', 'ttymajor=33', 'skipped', /kernel driver/],
  ];
  for (const [shows, line, outcome, reason] of lines) {
    test(shows, () => {
      const { rows, yaml, lines: count } = read(`${line}\r\n`);
      expect(rows).toMatchObject([{ line: 1, outcome }]);
      if (reason === undefined) expect(rows[0]?.reason).toBeUndefined();
      else expect(rows[0]?.reason).toMatch(reason);
      expect(folder.load(yaml).ttys.length).toBe(outcome === 'imported' ? 1 : 0);
      expect(count).toBe(1);
    });
  }

  test('the first of two lines with one name, or one port, keeps it', () => {
    const line = (name: string, data: number) => `0 10.0.0.1 ${data} ${data + 1000} 1 0 ${name} cur 0 0`;
    const { rows, yaml } = read([line('ttyr00', 950), line('ttyr00', 951), line('ttyr02', 950)].join('\n'));
    expect(rows.map((row) => row.outcome)).toEqual(['imported', 'needs a hand', 'needs a hand']);
    expect(rows[1]?.reason).toContain('taken by line 1');
    expect(folder.load(yaml).ttys).toMatchObject([{ name: 'ttyr00', dataPort: 950, commandPort: 1950 }]);
  });

  test('names that YAML would read as something else stay names', () => {
    const names = ['null', 'true', '1e3', '0x10', '007', 'no', '~'].slice(0, 6);
    const text = names.map((name, n) => `${n} 10.0.0.${n + 1} 950 966 1 0 ${name} cur 0 0`).join('\n');
    expect(folder.load(read(text).yaml).ttys.map((tty) => tty.name)).toEqual(names);
  });

  test('more ports than a server can have need a hand', () => {
    const text = Array.from({ length: 257 }, (_, n) => `1 10.0.0.1 ${2000 + n} ${3000 + n} 1 0 t${n} c 0 0`).join('\n');
    const { counts, yaml } = read(text);
    expect(counts).toEqual({ imported: 256, 'needs a hand': 1, skipped: 0 });
    expect(folder.load(yaml).ttys.length).toBe(256);
  });
});

test('whatever is in the file, the result passes the check, and no line is lost', () => {
  const word = fc.oneof(
    fc.constantFrom(
      '0',
      '1',
      '2',
      '10.0.0.1',
      '10.0.0.2',
      'fe80::1',
      'eth1',
      'ttyr00',
      'ttyr01',
      'plc',
      '#',
      'a/b',
      '::1',
    ),
    fc.constantFrom('950', '951', '966', '967', '4001', '70000', 'null', '{', '": ', '%', '__proto__', '..'),
    fc.string({ maxLength: 8, unit: 'binary' }),
  );
  const line = fc.oneof(
    fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')),
    fc
      .tuple(word, word, word, word, word, word)
      .map(
        ([address, data, command, ssl, name, zone]) => `1 ${address} ${data} ${command} 1 ${ssl} ${name} c ${zone} 0`,
      ),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.option(fc.constantFrom('ttyNP', 'x9')), (lines, rename) => {
      const text = lines.join('\n');
      const result = read(text, rename ?? undefined);
      const config = folder.load(result.yaml);
      expect(config.ttys.length).toBe(result.counts.imported);
      const written = text.replace(/^\ufeff/, '').split(/\r?\n/);
      expect(result.lines).toBe(written.at(-1) === '' ? written.length - 1 : written.length);
    }),
    { numRuns: 300 },
  );
});
