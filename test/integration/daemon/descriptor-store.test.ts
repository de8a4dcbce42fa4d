// The descriptor store, told by real datagrams: what the manager holds is what was put, in whatever haste and however slow
// the manager is.
import { afterEach, expect, test } from 'vitest';
import { StoreProcess } from '../../support/descriptor-store-process.js';
import type { ManagerOptions } from '../../support/service-manager.js';

let running: StoreProcess[] = [];

async function start(options: ManagerOptions = {}, env = {}): Promise<StoreProcess> {
  const process = await StoreProcess.start(options, env);
  running.push(process);
  return process;
}

afterEach(async () => {
  for (const { manager } of running) await manager.close();
  running = [];
});

const PUT_MANY = `
  const fds = [];
  for (let i = 0; i < 256; i++)
    for (const what of ['tty', 'data', 'command', 'state']) {
      const fd = createStateFile(what, 64);
      fs.writeSync(fd, what + i);
      if (!store.put(what + '-ttyNP' + i, fd)) throw new Error('refused at ' + i);
      closeFd(fd);
    }`;

function everyName(): string[] {
  const names = Array.from({ length: 256 }, (_, i) => ['tty', 'data', 'command', 'state'].map((w) => `${w}-ttyNP${i}`));
  return names.flat().sort();
}

const CONTENTS = `
  return store.adopted.filter((name) => {
    const [what, tty] = name.split('-');
    const bytes = Buffer.alloc(64);
    fs.readSync(store.take(name), bytes, 0, 64, 0);
    return bytes.toString().replace(/\\0+$/, '') !== what + tty.slice(5);
  });`;

test('1024 puts while the manager takes nothing: none is lost or mixed up, and the loop goes on meanwhile', async () => {
  const child = await start();
  await child.manager.pause();
  // The descriptors are closed and their numbers used again while their puts wait.
  expect(await child.run(`${PUT_MANY}\nreturn store.used`)).toBe(1024);
  expect(await child.run('return await new Promise((resolve) => setTimeout(() => resolve("turns"), 20))')).toBe(
    'turns',
  );
  expect(await child.manager.store()).toEqual([]);
  await child.manager.resume();
  await child.manager.until(
    'all are stored',
    () => child.manager.messages.filter((m) => m.startsWith('FDSTORE=1')).length === 1024,
  );
  expect((await child.manager.store()).sort()).toEqual(everyName());
  expect(new Set(child.manager.messages.filter((m) => m.startsWith('FDSTORE=1')).map((m) => m.split(' ')[2]))).toEqual(
    new Set(['FDPOLL=0']),
  );
  expect(await child.restart()).toBe(0);
  expect(await child.run('return [store.used, store.adopted.length]')).toEqual([1024, 1024]);
  expect(await child.run(CONTENTS)).toEqual([]);
  expect(child.log).toEqual([]);
});

test('1024 puts and the end at once: the barrier sends what is queued before it', async () => {
  const child = await start();
  await child.run(`setTimeout(() => process.kill(process.pid, 'SIGTERM'), 0);${PUT_MANY}`);
  expect(await child.manager.waitExit()).toBe(0);
  expect((await child.manager.store()).sort()).toEqual(everyName());
  const { events } = child.manager;
  const barrier = events.findIndex(({ event }) => event === 'barrier');
  expect(barrier).toBeGreaterThan(events.findLastIndex(({ event }) => event === 'notify'));
  expect(barrier).toBeLessThan(events.findIndex(({ event }) => event === 'exited'));
  expect(child.manager.count('rejected')).toBe(0);
});

test('a barrier gives up on a manager that does not answer, and what was queued is sent later', async () => {
  const child = await start();
  await child.manager.pause();
  const TRY = `
    const before = performance.now();
    const done = store.barrier(300);
    return [done, performance.now() - before >= 299];`;
  expect(await child.run(TRY)).toEqual([false, true]);
  // Now its queue is full, too.
  await child.run(PUT_MANY);
  expect(await child.run(TRY)).toEqual([false, true]);
  await child.manager.resume();
  expect(await child.run('return store.barrier(10000)')).toBe(true);
  expect(await child.manager.store()).toHaveLength(1024);
});

test('a signal does not end the wait of a barrier', async () => {
  const child = await start();
  await child.run(`process.on('SIGUSR1', () => {})`);
  await child.manager.pause();
  const done = child.run('return store.barrier(10000)');
  for (let i = 0; i < 20; i++) await child.manager.signal('SIGUSR1');
  await child.manager.resume();
  expect(await done).toBe(true);
});

test('a put replaces what has the name; remove takes it out', async () => {
  const child = await start();
  await child.run(`
    for (const text of ['first', 'second', 'third']) {
      const fd = createStateFile('x', 6);
      fs.writeSync(fd, text);
      store.put('state-ttyNP0', fd);
      closeFd(fd);
    }
    store.put('state-ttyNP1', createStateFile('y', 1));
    store.put('state-ttyNP2', createStateFile('z', 1));
    store.remove('state-ttyNP1');
    store.remove('state-ttyNP7');`);
  expect(await child.run('return [store.barrier(5000), store.used]')).toEqual([true, 2]);
  expect((await child.manager.store()).sort()).toEqual(['state-ttyNP0', 'state-ttyNP2']);
  await child.restart();
  expect(await child.run(`return fs.readFileSync('/proc/self/fd/' + store.take('state-ttyNP0')).toString()`)).toBe(
    'third\0',
  );
});

test('the same file again under its name stays', async () => {
  const child = await start();
  await child.run(`
    const fd = createStateFile('x', 1);
    for (let i = 0; i < 3; i++) store.put('state-ttyNP0', fd);`);
  expect(await child.run('return store.barrier(5000)')).toBe(true);
  expect(await child.manager.store()).toEqual(['state-ttyNP0']);
  expect(child.manager.count('store-same')).toBe(0);
});

test('no more than the manager keeps: refused, with one line when it begins and one when it ends', async () => {
  const child = await start({ limit: 3 });
  const put = (name: string) => child.run(`return store.put('${name}', createStateFile('x', 1))`);
  expect(await child.run('return [store.present, store.limit]')).toEqual([true, 3]);
  for (const name of ['a', 'b', 'c']) expect(await put(name)).toBe(true);
  for (const name of ['d', 'e', 'f']) expect(await put(name)).toBe(false);
  expect(await put('b'), 'a replacement needs no room').toBe(true);
  await child.run(`store.remove('a')`);
  expect(await put('d')).toBe(true);
  expect(await child.run('return [store.barrier(5000), store.used]')).toEqual([true, 3]);
  expect((await child.manager.store()).sort()).toEqual(['b', 'c', 'd']);
  expect(child.manager.count('store-full')).toBe(0);
  expect(child.log).toEqual([
    'warn: the descriptor store is full (3 of 3): d will not outlive a restart',
    'info: the descriptor store has room again: 2 of 3 are used',
  ]);
  // What is adopted is counted, too.
  await child.restart();
  expect(await put('e')).toBe(false);
});

test('no longer names than a start can be given: full before it, and the next start has them all', async () => {
  const child = await start();
  const names = await child.run(`
    let names = 0;
    while (store.put(('tty-' + names).padEnd(255, 'x'), createStateFile('x', 1))) names++;
    store.barrier(10000);
    return names;`);
  // execve(2): a string of the environment has at most 32 pages.
  expect(names).toBe(Math.floor((32 * 4096 - 'LISTEN_FDNAMES='.length - 1) / 256));
  expect(await child.run(`return [store.put('small', 0), store.put('small', 0)]`)).toEqual([true, true]);
  expect(await child.restart()).toBe(0);
  expect(await child.run('return store.adopted.length')).toBe(Number(names) + 1);
  expect(child.log).toEqual([expect.stringMatching(/^warn: the descriptor store is full \(511 of 2048\): tty-511x+ /)]);
});

test('without a store nothing is told, and nothing fails', async () => {
  for (const FDSTORE of [undefined, '', '0', 'many', '-5']) {
    const child = await start({}, { FDSTORE });
    expect(await child.run(`store.remove('x'); return [store.present, store.put('x', 0), store.barrier(100)]`)).toEqual(
      [false, false, false],
    );
    expect(child.manager.messages).toEqual(['READY=1']);
    expect(child.log.length).toBe(FDSTORE === 'many' || FDSTORE === '-5' ? 1 : 0);
  }
});

test('a manager that is gone: one line, and the process goes on', async () => {
  const child = await start();
  const [answer] = [
    await child.run(`
      const path = process.env.NOTIFY_SOCKET;
      fs.renameSync(path, path + '.away');
      const fd = createStateFile('x', 1);
      const gone = [store.put('a', fd), store.put('b', fd), store.barrier(200), store.used];
      fs.renameSync(path + '.away', path);
      return [...gone, store.put('a', fd), store.barrier(5000), store.used];`),
  ];
  expect(answer).toEqual([false, false, false, 0, true, true, 1]);
  expect(child.log).toEqual([
    'warn: the service manager is not told what to store: sendmsg: No such file or directory',
    'info: the service manager is told again',
  ]);
  expect(await child.manager.store()).toEqual(['a']);
});
