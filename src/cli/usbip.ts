// `ttynp usbip suspend|resume`, for the service and for people: the daemon's virtual adapters are unplugged before the machine
// sleeps, and plugged in again after it. The kernel does not go to sleep with one. Returns when they are gone from the kernel.
// See docs/usbip.md, "Suspend".
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandModule } from 'yargs';
import { type Clock, SystemClock, sleep } from '../base/clock.js';
import { MANUFACTURER } from '../tty/usbip/identity.js';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { gone, Vhci, type VhciPort } from './usbip/vhci.js';

/** The kernel lets go of a device in milliseconds. */
const GONE_MS = 5000;
const POLL_MS = 20;

type UsbipArguments = GlobalArguments & { readonly action: 'suspend' | 'resume'; readonly sys: string };

export const usbipCommand = (io: CommandIo): CommandModule<GlobalArguments, UsbipArguments> => ({
  command: 'usbip <action>',
  describe: 'Unplug the virtual adapters before the machine sleeps, and plug them in again',
  builder: (yargs) =>
    yargs
      .positional('action', { choices: ['suspend', 'resume'] as const, demandOption: true })
      .option('sys', { type: 'string', default: '/sys', hidden: true }),
  handler: async (args) => {
    const { adapters } = await clientOf(args).usbip(args.action);
    if (args.action === 'resume') {
      io.out(`${adapters} adapters are plugged in again\n`);
      return;
    }
    const left = await awaitGone(new Vhci(args.sys), new SystemClock());
    if (left > 0) {
      io.err(`ttynp: ${left} devices are still in the kernel after ${GONE_MS / 1000} s: the machine may not sleep\n`);
      process.exitCode = 1;
    } else io.out(`${adapters} adapters unplugged\n`);
  },
});

/** Resolves with how many of ours are left. */
async function awaitGone(vhci: Vhci, clock: Clock): Promise<number> {
  for (const until = clock.now() + GONE_MS; ; ) {
    const left = vhci.ports().filter(isOurs).length;
    if (left === 0 || clock.now() >= until) return left;
    await sleep(clock, POLL_MS);
  }
}

/** Whoever attached it; one that is going shows no manufacturer any more, and its port is not free yet. */
function isOurs({ free, devicePath }: VhciPort): boolean {
  if (gone(devicePath)) return !free;
  try {
    return readFileSync(join(devicePath, 'manufacturer'), 'utf8').trim() === MANUFACTURER;
  } catch {
    return !free;
  }
}
