// install.sh from a checkout, below a folder of the test: what lies where afterwards, that it works from there, that the
// operator's configuration stays, and that --uninstall leaves nothing else. The service itself is for test/vm.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../support/e2e.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const install = (...args: string[]) => run([`${ROOT}/install.sh`, ...args], { timeoutMs: 60_000 });

let prefix: string;

beforeEach(() => {
  prefix = mkdtempSync(join(tmpdir(), 'ttynp-install-'));
});

afterEach(() => rmSync(prefix, { recursive: true, force: true }));

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(dir.length));
}

test('--dry-run says what it would do and does nothing', async () => {
  const { code, stdout } = await install('--prefix', prefix, '--dry-run');
  expect(code).toBe(0);
  expect(stdout).toContain(`${prefix}/usr/lib/systemd/system/ttynpd.service`);
  expect(readdirSync(prefix)).toEqual([]);
});

test('installs what works from there, keeps the configuration the second time, and takes everything else away', async () => {
  expect((await install('--prefix', prefix)).code).toBe(0);
  const files = filesBelow(prefix).filter((file) => !file.startsWith('/usr/lib/ttynp/'));
  expect(files.sort()).toEqual([
    '/etc/ttynp/ttynp.yaml',
    '/usr/bin/ttynp',
    '/usr/bin/ttynpd',
    '/usr/lib/systemd/system/ttynp-links.path',
    '/usr/lib/systemd/system/ttynp-links.service',
    '/usr/lib/systemd/system/ttynp-usbip-sleep.service',
    '/usr/lib/systemd/system/ttynp-usbip.service',
    '/usr/lib/systemd/system/ttynp-usbip.socket',
    '/usr/lib/systemd/system/ttynpd.service',
    '/usr/lib/sysusers.d/ttynp.conf',
    '/usr/lib/tmpfiles.d/ttynp.conf',
    '/usr/lib/udev/rules.d/70-ttynp.rules',
    '/usr/share/bash-completion/completions/ttynp',
    '/usr/share/man/man1/ttynp.1',
    '/usr/share/man/man5/ttynp.yaml.5',
    '/usr/share/man/man8/ttynpd.8',
    '/usr/share/zsh/vendor-completions/_ttynp',
  ]);
  expect(existsSync(`${prefix}/usr/lib/ttynp/node_modules/vitest`)).toBe(false);
  // What the unit runs besides the daemon.
  const unit = readFileSync(`${ROOT}/service/ttynpd.service`, 'utf8');
  for (const [, program] of unit.matchAll(/^Exec\w+=[+-]*(\/usr\/lib\/ttynp\/\S+)/gm)) {
    expect(statSync(`${prefix}${program}`).mode & 0o777).toBe(0o755);
  }
  const rules = readFileSync(`${ROOT}/service/ttynp.rules`, 'utf8');
  for (const [, program] of rules.matchAll(/PROGRAM="(\/usr\/lib\/ttynp\/[^ "]+)/g)) {
    expect(statSync(`${prefix}${program}`).mode & 0o777).toBe(0o755);
  }
  const config = `${prefix}/etc/ttynp/ttynp.yaml`;
  expect(await run([`${prefix}/usr/bin/ttynp`, 'config', 'check', config])).toMatchObject({ code: 0 });

  const mine = 'version: 1\nruntimeDir: /run/ttynp\n';
  writeFileSync(config, mine);
  const again = await install('--prefix', prefix);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).toContain(`keep ${config}`);
  expect(readFileSync(config, 'utf8')).toBe(mine);
  expect((await run([`${prefix}/usr/bin/ttynpd`, '--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);

  expect((await install('--prefix', prefix, '--uninstall')).code).toBe(0);
  expect(filesBelow(prefix)).toEqual(['/etc/ttynp/ttynp.yaml']);
}, 120_000);

test('a word that it does not know is wrong usage; without Node and a bundle one line names the bundle', async () => {
  expect(await install('--remove')).toMatchObject({ code: 1 });
  const bin = join(prefix, 'bin');
  mkdirSync(bin);
  copyFileSync(`${ROOT}/install.sh`, join(prefix, 'install.sh'));
  writeFileSync(join(prefix, 'package.json'), '{}');
  const tools = ['dirname', 'id', 'uname', 'rm'].map((tool) => `ln -s "$(command -v ${tool})" ${bin}/${tool}`);
  const shell = `${tools.join('; ')}; PATH=${bin}; export PATH; exec /bin/sh ${prefix}/install.sh --prefix ${prefix}/root`;
  const { code, stderr } = await run(['/bin/sh', '-c', shell]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^install\.sh: no Node >= 20\.19 .*put the bundle ttynp-VERSION-linux-\w+\.tar\.gz beside[^\n]*\n$/,
  );
  expect(existsSync(join(prefix, 'root'))).toBe(false);
});

test('bash completes commands, and ttys by the names that the daemon tells', async () => {
  const fake = join(prefix, 'ttynp');
  writeFileSync(
    fake,
    `#!/bin/sh\ncat <<'J'\n${JSON.stringify(
      [
        { name: 'ttyNP0', server: 'hall' },
        { name: 'ttyr9', server: 'hall' },
      ],
      null,
      2,
    )}\nJ\n`,
    {
      mode: 0o755,
    },
  );
  const complete = async (...words: string[]) => {
    const script = `PATH=${prefix}:$PATH; . ${ROOT}/service/completion/ttynp.bash; COMP_WORDS=(ttynp ${words.join(' ')}); COMP_CWORD=${words.length}; _ttynp; printf '%s\n' "\${COMPREPLY[@]}"`;
    return (await run(['bash', '-c', script])).stdout.trim().split('\n');
  };
  expect(await complete('sta')).toEqual(['status']);
  expect(await complete('port', 'tty')).toEqual(['ttyNP0', 'ttyr9']);
  expect(await complete('-c', '/x', 'trace', 'ttyr')).toEqual(['ttyr9']);
  expect(await complete('config', 'c')).toEqual(['check']);
});

test.skipIf(!existsSync('/usr/bin/systemd-analyze'))('the units are hardened as far as 1.7 says', async () => {
  for (const unit of ['ttynpd.service', 'ttynp-links.service', 'ttynp-usbip.service', 'ttynp-usbip-sleep.service']) {
    const path = `${ROOT}/service/${unit}`;
    const security = await run(['systemd-analyze', 'security', '--offline=true', '--threshold=17', path]);
    expect(security, unit).toMatchObject({ code: 0 });
  }
});
