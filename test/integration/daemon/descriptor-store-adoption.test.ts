// What comes back from the descriptor store after a restart and after kill -9: the same PTY, the same connection, the same
// bytes. And what a start does with LISTEN_* that nobody can believe.
import { constants, openSync } from 'node:fs';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { closeFd } from '../../../src/native/socket.js';
import { StoreProcess } from '../../support/descriptor-store-process.js';
import { eventually } from '../../support/e2e-process.js';
import type { StartEnvironment } from '../../support/service-manager.js';

let cleanups: (() => unknown)[] = [];

async function start(env: StartEnvironment = {}): Promise<StoreProcess> {
  const child = await StoreProcess.start({}, env);
  cleanups.push(() => child.manager.close());
  return child;
}

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

const WAYS: [string, (child: StoreProcess, env?: StartEnvironment) => Promise<unknown>][] = [
  ['a restart', (child, env) => child.restart(env)],
  ['kill -9', (child, env) => child.kill9(env)],
];

/** The device server's side of a connection. */
async function listen(): Promise<{ port: number; next: Promise<net.Socket> }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const next = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  cleanups.push(async () => {
    (await next).destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, next };
}

for (const [way, again] of WAYS) {
  test(`${way}: a PTY whose slave nobody has open is the same one afterwards`, async () => {
    const child = await start();
    const path = await child.run(`
      const { fd, path } = makePty();
      store.put('tty-ttyNP0', fd);
      store.barrier(5000);
      return [path, isHungUp(fd)];`);
    expect(path).toEqual([expect.stringMatching(/^\/dev\/pts\/\d+$/), true]);
    const slave = Array.isArray(path) ? String(path[0]) : '';
    for (let round = 0; round < 3; round++) await again(child);
    expect(await child.run('return store.adopted')).toEqual(['tty-ttyNP0']);
    await child.run(`globalThis.fd = store.take('tty-ttyNP0')`);
    expect(await child.run('return [descriptorKind(fd), isHungUp(fd), store.adopted, store.used]')).toEqual([
      'pty-master',
      true,
      [],
      1,
    ]);
    const application = openSync(slave, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    expect(await child.run(`return [isHungUp(fd), fs.writeSync(fd, 'up')]`)).toEqual([false, 2]);
    closeFd(application);
  });

  test(`${way}: an application that has the PTY open is not hung up`, async () => {
    const child = await start();
    const slave = String(
      await child.run(`
        const { fd, path } = makePty();
        store.put('tty-ttyNP0', fd);
        store.barrier(5000);
        return path;`),
    );
    const application = openSync(slave, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    cleanups.push(() => closeFd(application));
    await again(child);
    expect(await child.run(`return isHungUp(store.take('tty-ttyNP0'))`)).toBe(false);
  });

  test(`${way}: a connection goes on, with the same ports and what the peer sent meanwhile`, async () => {
    const child = await start();
    const { port, next } = await listen();
    const before = await child.run(`
      const fd = await connectTcp({ host: '127.0.0.1', port: ${port}, timeoutMs: 5000 });
      store.put('data-ttyNP0', fd);
      store.barrier(5000);
      return [localAddress(fd), peerAddress(fd)];`);
    const peer = await next;
    const heard: Buffer[] = [];
    const ends: string[] = [];
    peer.on('data', (bytes) => heard.push(bytes));
    for (const end of ['end', 'error', 'close']) peer.on(end, () => ends.push(end));
    const restarted = again(child);
    peer.write('while nobody read');
    await restarted;
    await child.run(`globalThis.fd = store.take('data-ttyNP0')`);
    expect(await child.run('return [localAddress(fd), peerAddress(fd)]')).toEqual(before);
    expect(await child.run('return descriptorKind(fd)')).toBe('tcp');
    const READ = `
      const bytes = Buffer.alloc(64);
      return bytes.toString('latin1', 0, fs.readSync(fd, bytes));`;
    expect(await child.run(READ)).toBe('while nobody read');
    await child.run(`fs.writeSync(fd, 'still here')`);
    await eventually('the peer hears', () => Buffer.concat(heard).toString() === 'still here');
    expect(ends).toEqual([]);
  });

  test(`${way}: a state file keeps its bytes, the last of which were written after it was put`, async () => {
    const child = await start();
    await child.run(`
      const fd = createStateFile('state', 1 << 20);
      store.put('state-ttyNP0', fd);
      store.barrier(5000);
      fs.writeSync(fd, 'parked', 4096);
      fs.writeSync(fd, 'last', (1 << 20) - 4);`);
    await again(child);
    expect(
      await child.run(`
        const fd = store.take('state-ttyNP0');
        const bytes = fs.readFileSync('/proc/self/fd/' + fd);
        return [descriptorKind(fd), bytes.length, bytes.toString('latin1', 4096, 4102), bytes.toString('latin1', (1 << 20) - 4)];`),
    ).toEqual(['memfd', 1 << 20, 'parked', 'last']);
  });

  test(`${way}: what nobody takes is closed and leaves the store; children inherit neither descriptors nor variables`, async () => {
    const child = await start();
    await child.run(`
      for (const name of ['a', 'b', 'c']) store.put(name, createStateFile(name, 1));
      store.barrier(5000);`);
    await again(child);
    const INHERITED = `
      const { spawnSync } = await import('node:child_process');
      const script = 'ls -l /proc/self/fd; env';
      const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
      return stdout.split('\\n').filter((line) => /memfd|LISTEN_/.test(line));`;
    expect(await child.run(INHERITED)).toEqual([]);
    expect(await child.run(`return [typeof store.take('b'), store.take('b') ?? null, store.adopted.length]`)).toEqual([
      'number',
      null,
      2,
    ]);
    const rest = await child.run('return store.discardRest()');
    expect(Array.isArray(rest) && rest.sort()).toEqual(['a', 'c']);
    expect(await child.run('return [store.barrier(5000), store.used, store.adopted]')).toEqual([true, 1, []]);
    expect(await child.manager.store()).toEqual(['b']);
    const OPEN = `return fs.readdirSync('/proc/self/fd').filter((fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd).startsWith('/memfd'); } catch { return false; }
    }).length;`;
    expect(await child.run(OPEN)).toBe(1);
  });
}

test('two of a name: the newest is taken, and the store has one afterwards', async () => {
  const child = await start();
  await child.run(`
    for (const text of ['old', 'mid', 'new']) {
      const fd = createStateFile('x', 0);
      fs.writeSync(fd, text);
      notify('FDSTORE=1\\nFDNAME=state-ttyNP0\\nFDPOLL=0', [fd]);
    }
    store.barrier(5000);`);
  expect(await child.manager.store()).toEqual(['state-ttyNP0', 'state-ttyNP0', 'state-ttyNP0']);
  await child.restart();
  expect(await child.run('return [store.adopted, store.used, store.barrier(5000)]')).toEqual([
    ['state-ttyNP0'],
    1,
    true,
  ]);
  expect(await child.manager.store()).toEqual(['state-ttyNP0']);
  expect(child.log).toEqual(['warn: 3 descriptors were stored as state-ttyNP0: the first is kept']);
  const CONTENT = `return fs.readFileSync('/proc/self/fd/' + store.take('state-ttyNP0')).toString()`;
  expect(await child.run(CONTENT)).toBe('new');
  await child.restart();
  expect(await child.run(CONTENT)).toBe('new');
});

test('a reload of the manager turns the order of its store: names are what counts', async () => {
  const child = await start();
  await child.run(`
    for (const name of ['a', 'b', 'c']) {
      const fd = createStateFile(name, 0);
      fs.writeSync(fd, name);
      store.put(name, fd);
    }`);
  await child.run('return store.barrier(5000)');
  expect(await child.manager.store()).toEqual(['c', 'b', 'a']);
  for (const order of ['a b c', 'c b a']) {
    await child.manager.daemonReload();
    expect((await child.manager.store()).join(' ')).toBe(order);
    await child.restart();
    expect(
      await child.run(`
        const content = (name) => fs.readFileSync('/proc/self/fd/' + store.take(name)).toString();
        return [store.adopted.join(' '), content('a') + content('b') + content('c')];`),
    ).toEqual([order, 'abc']);
  }
});

test('systemctl stop: the store is given up', async () => {
  const child = await start();
  const { port, next } = await listen();
  await child.run(`
    process.on('SIGINT', () => process.exit(0));
    store.put('data-ttyNP0', await connectTcp({ host: '127.0.0.1', port: ${port}, timeoutMs: 5000 }));
    store.barrier(5000);`);
  const peer = await next;
  const ended = new Promise((resolve) => peer.once('end', resolve));
  peer.resume();
  expect(await child.manager.stop()).toBe(0);
  await ended;
  expect(await child.manager.store()).toEqual([]);
});

const UNBELIEVABLE: [string, StartEnvironment, RegExp][] = [
  ['a LISTEN_PID of another process', { LISTEN_PID: '1' }, /LISTEN_PID is 1, this process is \d+$/],
  ['a LISTEN_PID that is no number', { LISTEN_PID: '$PIDx' }, /LISTEN_PID is "\d+x"$/],
  ['no LISTEN_PID', { LISTEN_PID: undefined }, /LISTEN_PID is missing$/],
  ['no LISTEN_FDS', { LISTEN_FDS: undefined }, /LISTEN_FDS is missing$/],
  ['a LISTEN_FDS that is no number', { LISTEN_FDS: '-2' }, /LISTEN_FDS is "-2"$/],
  ['a huge LISTEN_FDS', { LISTEN_FDS: '99999999999' }, /LISTEN_FDS is "99999999999"$/],
  ['a LISTEN_FDS beyond what was passed', { LISTEN_FDS: '3' }, /LISTEN_FDS is 3, but 5 is not the manager's$/],
  ['a LISTEN_FDS beyond what is open', { LISTEN_FDS: '9000' }, /LISTEN_FDS is 9000, but 5 is not the manager's$/],
];

for (const [what, env, line] of UNBELIEVABLE) {
  test(`${what}: one line, nothing is adopted, and the process runs`, async () => {
    const child = await start();
    await child.run(`for (const name of ['a', 'b']) store.put(name, createStateFile(name, 1)); store.barrier(5000);`);
    // A number of names that is right, so that it is not that what shows.
    const count = Number(env.LISTEN_FDS);
    const names = count > 0 && count < 10_000 ? { LISTEN_FDNAMES: Array(count).fill('x').join(':') } : {};
    await child.restart({ ...names, ...env });
    expect(await child.run('return [store.adopted, store.used]')).toEqual([[], 0]);
    expect(child.log).toEqual([expect.stringMatching(line)]);
    expect(
      await child.run(`return ['PID', 'FDS', 'FDNAMES'].filter((name) => 'LISTEN_' + name in process.env)`),
    ).toEqual([]);
    // The next start is an ordinary one.
    await child.restart();
    expect(await child.run('return store.adopted.toSorted()')).toEqual(['a', 'b']);
  });
}

test('a number of names unlike LISTEN_FDS: all are closed, and the names leave the store', async () => {
  for (const LISTEN_FDNAMES of ['a', 'a:b:c', '']) {
    const child = await start();
    await child.run(`for (const name of ['a', 'b']) store.put(name, createStateFile(name, 1)); store.barrier(5000);`);
    await child.restart({ LISTEN_FDNAMES });
    expect(await child.run('return [store.adopted, store.used, store.barrier(5000)]')).toEqual([[], 0, true]);
    expect(child.log).toEqual([expect.stringMatching(/LISTEN_FDS is 2 and LISTEN_FDNAMES has [13]$/)]);
    const named = LISTEN_FDNAMES.split(':');
    expect((await child.manager.store()).sort()).toEqual(['a', 'b'].filter((name) => !named.includes(name)));
  }
});

test('without names there is one unknown, to be discarded', async () => {
  const child = await start();
  await child.run(`for (const name of ['a', 'b']) store.put(name, createStateFile(name, 1)); store.barrier(5000);`);
  await child.restart({ LISTEN_FDNAMES: undefined });
  expect(await child.run('return store.discardRest()')).toEqual(['unknown']);
});
