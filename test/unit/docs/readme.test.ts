import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

test('the example of the README is a valid configuration, and makes the ttys that it says', () => {
  const example = /```yaml\n(version: 1\n[\s\S]*?)```/.exec(readme)?.[1];
  expect(example).toBeDefined();
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-readme-'));
  try {
    const file = join(dir, 'ttynp.yaml');
    writeFileSync(file, example ?? '');
    const { config } = loadConfig(file);
    const names = config.ttys.map((tty) => tty.name);
    expect(names).toContain('ttyNP0');
    expect(names).toContain('ttyNP15');
    expect(config.ttys.find((tty) => tty.name === 'ttyNP7')).toMatchObject({
      aliases: ['gas-meter'],
      port: 8,
      fifoBytes: 1,
    });
    expect(config.ttys.find((tty) => tty.name === 'plc3')).toMatchObject({ dataPort: 4001, commandPort: 966 });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
