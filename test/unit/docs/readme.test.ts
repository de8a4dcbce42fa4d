// What the README and docs/serial-ports.md give to be copied is a configuration, and what they quote is what the program says.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const dir = mkdtempSync(join(tmpdir(), 'ttynp-readme-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function load(text: string | undefined) {
  const file = join(dir, 'ttynp.yaml');
  writeFileSync(file, text ?? '');
  return loadConfig(file).config;
}

/** The indented blocks of a page that begin with this line, without their indentation. */
function blocks(page: string, first: string): string[] {
  const found = page.match(/(?:^ {4}.*\n)+/gm) ?? [];
  return found.filter((block) => block.startsWith(`    ${first}`)).map((block) => block.replace(/^ {4}/gm, ''));
}

test('the example of the README is a valid configuration, and makes the ttys that it says', () => {
  const config = load(/```yaml\n(version: 1\n[\s\S]*?)```/.exec(readme)?.[1]);
  const names = config.ttys.map((tty) => tty.name);
  expect(names).toContain('ttyNP0');
  expect(names).toContain('ttyNP15');
  expect(config.ttys.find((tty) => tty.name === 'ttyNP7')).toMatchObject({
    aliases: ['gas-meter'],
    port: 8,
    fifoBytes: 1,
  });
  expect(config.ttys.find((tty) => tty.name === 'plc3')).toMatchObject({ dataPort: 4001, commandPort: 966 });
});

test('so are the examples with serial ports that are offered', () => {
  const own = blocks(readme, 'serialPorts:');
  const discovery = blocks(readme, 'discovery:');
  expect([own.length, discovery.length]).toEqual([1, 1]);
  const config = load(['version: 1\n', ...own, ...discovery].join(''));
  expect(config.serialPorts.map(({ served }) => served.mode)).toEqual(['real-com', 'tcp-server', 'rfc2217']);
  expect(config.discovery?.listen).toEqual(['192.168.1.10']);
  const whole = blocks(readFileSync(join(ROOT, 'docs/serial-ports.md'), 'utf8'), 'version: 1');
  expect(whole).toHaveLength(1);
  expect(load(whole[0]).serialPorts.map(({ port, served }) => [port, served.mode])).toEqual([
    [1, 'real-com'],
    [2, 'rfc2217'],
    [3, 'tcp-server'],
    [4, 'disabled'],
  ]);
});

test('what the table of troubles with serial ports quotes is in the program', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'))
    .join('\n');
  const table = readme.slice(readme.indexOf("Of this machine's serial ports, which it offers:"));
  const rows = table.slice(0, table.indexOf('\n## ')).match(/^\| .*$/gm) ?? [];
  const quoted = rows.slice(1).flatMap((row) => row.split(' | ')[0]?.match(/`[^`]+`/g) ?? []);
  expect(quoted).toHaveLength(18);
  for (const text of quoted) {
    // Devices, addresses and numbers are the reader's; a colon may have been put between two texts.
    const parts = text.slice(1, -1).split(/\/dev\/\w+|\d+(?:\.\d+)*|: /);
    const foreign = parts.filter((part) => !sources.includes(part));
    expect(foreign, text).toEqual([]);
  }
});
