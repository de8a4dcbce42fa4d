// `ttynp server add` and `remove` against the daemon as it runs, with an application on a port that is not concerned: the
// new ttys work at once, the comments stay, and a refused edit changes neither file nor daemon.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runSimulator, type SimulatorHandle } from '../../src/serve/simulator.js';
import { cli, eventually, Whole } from '../support/e2e.js';
import { App } from '../support/rig.js';

let whole: Whole;
let other: SimulatorHandle;

beforeAll(async () => {
  whole = await Whole.start({ simulator: { unpaced: true }, tty: { disconnectDelay: '50ms' }, idle: true });
  const { dataPort, commandPort } = whole.simulator.port(1);
  writeFileSync(
    whole.configFile,
    `# Our plant
version: 1
runtimeDir: ${whole.dir}   # for tests
linkDir: ${whole.dir}
servers:
  # the old building
  old:  { address: 127.0.0.1, ports: 1, firstTty: ttyNP0, dataPort: ${dataPort}, commandPort: ${commandPort} }   # cellar
ttys:
  ttyNP0: { disconnectDelay: 50ms }   # the scale
`,
  );
  other = await runSimulator({ ports: 1, dataPort: 0, commandPort: 0, unpaced: true });
  await whole.startDaemon();
});
afterAll(async () => {
  await whole?.close();
  await other?.close();
});

const content = () => readFileSync(whole.configFile, 'utf8');
const ttynp = (...argv: string[]) => cli(['--socket', whole.socketPath, ...argv]);

test('add: the tty is there and works; remove: it is gone; what was open is not disturbed, and no comment is lost', async () => {
  const before = content();
  const app = new App(whole.path('ttyNP0'));
  try {
    app.write('before');
    expect(String(await app.readExactly(6))).toBe('before');
    const since = (await whole.port('ttyNP0')).since;

    const { dataPort, commandPort } = other.port(1);
    const numbers = ['--data-port', String(dataPort), '--command-port', String(commandPort)];
    const added = await ttynp('server', 'add', '127.0.0.1', '--ports', '1', '--name', 'new', ...numbers);
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).toBe('added new (127.0.0.1): ttyNP1\nreloaded: added ttyNP1; 1 unchanged\n');
    expect(content()).toBe(
      before.replace(
        '# cellar\n',
        `# cellar\n  new: { address: 127.0.0.1, ports: 1, firstTty: ttyNP1, dataPort: ${dataPort}, commandPort: ${commandPort} }\n`,
      ),
    );
    const second = new App(whole.path('ttyNP1'));
    try {
      second.write('hello');
      expect(String(await second.readExactly(5))).toBe('hello');
    } finally {
      second.close();
    }

    const removed = await ttynp('server', 'remove', 'new');
    expect(removed).toMatchObject({ code: 0, stderr: '' });
    expect(removed.stdout).toBe('removed new (127.0.0.1): ttyNP1\nreloaded: removed ttyNP1; 1 unchanged\n');
    expect(content()).toBe(before);
    await eventually('the link is gone', () => !existsSync(whole.path('ttyNP1')));

    expect(await whole.port('ttyNP0')).toMatchObject({ state: 'up', since });
    app.write('after');
    expect(String(await app.readExactly(5))).toBe('after');
  } finally {
    app.close();
  }
  await whole.portIs('idle', (view) => view.state === 'idle');
});

test('a taken name is refused on one line; neither file nor daemon changes', async () => {
  const before = content();
  for (const [argv, said] of [
    [['add', '10.0.0.1', '--ports', '1', '--name', 'old'], 'there is a server old already'],
    [['add', '10.0.0.1', '--ports', '1', '--first-tty', 'ttyNP0'], 'makes ttyNP0, which is port 1 of old'],
    [['remove', 'nobody'], 'no server "nobody"'],
  ] as const) {
    const { code, stdout, stderr } = await ttynp('server', ...argv);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^ttynp: [^\n]+\n$/);
    expect(stderr).toContain(said);
  }
  expect(content()).toBe(before);
  expect((await whole.client.ports()).map((port) => port.name)).toEqual(['ttyNP0']);
});

test('a daemon with another configuration is told of, and left alone', async () => {
  const file = `${whole.dir}/second.yaml`;
  writeFileSync(file, `version: 1\nruntimeDir: ${whole.dir}\n`);
  const { code, stdout } = await cli(['-c', file, 'server', 'add', '10.0.0.1', '--ports', '1']);
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('has another configuration') });
  expect((await whole.client.ports()).map((port) => port.name)).toEqual(['ttyNP0']);
});
