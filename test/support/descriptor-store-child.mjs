// A process with a descriptor store, for the tests of it: reads JSON lines { id, code } on stdin, evaluates the code with
// the names below in reach, and answers each with a line on stdout. Log lines go to stderr.
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { SystemClock } from '../../dist/base/clock.js';
import { openDescriptorStore } from '../../dist/daemon/handover/descriptor-store.js';
import { createStateFile, descriptorKind } from '../../dist/native/descriptor.js';
import { notify } from '../../dist/native/notify.js';
import { createPty, isHungUp } from '../../dist/native/pty.js';
import { closeFd, connectTcp, dup, localAddress, peerAddress } from '../../dist/native/socket.js';

const log = { log: (level, message) => process.stderr.write(`${level}: ${message}\n`), child: () => log };
const store = openDescriptorStore({ clock: new SystemClock(), log, environment: process.env, pid: process.pid });

const makePty = () => createPty({ baudRate: 9600, cflag: 0o60, iflag: 0, start: 17, stop: 19 });
const names = {
  ...{ store, fs, net, once, notify, makePty, isHungUp, createStateFile, descriptorKind },
  ...{ closeFd, connectTcp, dup, localAddress, peerAddress },
};
const AsyncFunction = (async () => {}).constructor;

process.on('SIGTERM', () => process.exit(store.barrier(20_000) ? 0 : 1));
notify('READY=1');
for await (const line of createInterface({ input: process.stdin })) {
  const { id, code } = JSON.parse(line);
  try {
    const value = await new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
    process.stdout.write(`${JSON.stringify({ id, value })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ id, error: String(error?.stack ?? error) })}\n`);
  }
}
