// The kernel's virtual host controllers (vhci_hcd) as sysfs shows them: which ports there are, which are free, which device
// hangs on one; and the two files that plug in and out. Loads no module. See docs/usbip-helper.md, "Ports".
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { SPEED_NUMBERS, type Speed } from '../../protocol/usbip/descriptors.js';

const CONTROLLER = /^vhci_hcd\.(\d+)$/;
const STATUS_LINE = /^(hs|ss)\s+(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-f]+)\s/;
/** enum usbip_device_status: nothing is attached. */
const FREE = 4;

export interface VhciPort {
  /** As attach and detach count them, over all controllers. */
  readonly number: number;
  readonly speed: Speed;
  readonly free: boolean;
  /** Of whoever attached; 0 where nobody did. */
  readonly devid: number;
  /** Where the device on it is, once the kernel knows it. */
  readonly devicePath: string;
}

export class Vhci {
  readonly #platform: string;
  /** What we have plugged in last, by port. */
  readonly #devids = new Map<number, number>();

  /** @param sys where sysfs is mounted */
  constructor(sys = '/sys') {
    this.#platform = join(sys, 'devices/platform');
  }

  /** Of vhci_hcd.0, .1 ... in this order; empty where the module is not loaded. */
  get controllers(): string[] {
    return entries(this.#platform)
      .filter((name) => CONTROLLER.test(name))
      .sort((a, b) => numberOf(a) - numberOf(b))
      .map((name) => join(this.#platform, name));
  }

  /** usb1, usb2 ... of all controllers: the directories of their root hubs. */
  get rootHubs(): string[] {
    return this.controllers.flatMap((controller) => hubsOf(controller).map(({ path }) => path));
  }

  ports(): VhciPort[] {
    const controllers = this.controllers;
    const first = controllers[0];
    if (first === undefined) return [];
    return controllers.flatMap((controller, index) => {
      const text = read(join(first, index === 0 ? 'status' : `status.${index}`));
      return text === undefined ? [] : portsOf(parseStatus(text), controller);
    });
  }

  /** Whether what we plugged in under this devid is still there. The kernel shows a devid only once it has an address. */
  holds(number: number, devid: number): boolean {
    if (this.#devids.get(number) !== devid) return false;
    const port = this.ports().find((candidate) => candidate.number === number);
    return port !== undefined && !port.free && (port.devid === devid || port.devid === 0);
  }

  /** Gives the socket of our descriptor to the kernel. Throws EBUSY (taken meanwhile), EAGAIN (not ready), EINVAL. */
  attach(port: VhciPort, fd: number, devid: number): void {
    this.#command('attach', `${port.number} ${fd} ${devid} ${SPEED_NUMBERS[port.speed]}`);
    this.#devids.set(port.number, devid);
  }

  /** Nothing happens where nothing is attached any more. */
  detach(number: number): void {
    try {
      this.#command('detach', String(number));
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EINVAL') throw error;
    }
  }

  /** Both files are the first controller's, for the ports of all. */
  #command(file: 'attach' | 'detach', text: string): void {
    writeAttribute(join(this.#platform, 'vhci_hcd.0', file), text);
  }
}

/**
 * The ports to try in turn: those of the speed, free and with no device of before that the kernel has not taken down yet;
 * high speed first where any will do. All have one speed, since the device has to know it before it is plugged in.
 */
export function candidates(ports: readonly VhciPort[], speed: Speed | 'any', isGone = gone): VhciPort[] {
  const speeds: readonly Speed[] = speed === 'any' ? ['high', 'super'] : [speed];
  for (const wanted of speeds) {
    const found = ports.filter((port) => port.free && port.speed === wanted && isGone(port.devicePath));
    if (found.length > 0) return found;
  }
  return [];
}

/** No device shows there any more. */
export const gone = (path: string): boolean => !existsSync(path);

interface StatusLine {
  readonly speed: Speed;
  readonly number: number;
  readonly state: number;
  readonly devid: number;
}

/** "hs  0000 004 000 00000000 000000 0-0"; the head and lines that are none of these are passed over. */
export function parseStatus(text: string): StatusLine[] {
  return text.split('\n').flatMap((line) => {
    const match = STATUS_LINE.exec(line);
    if (!match) return [];
    const [, hub, number, state, , devid = '0'] = match;
    return [
      {
        speed: hub === 'ss' ? ('super' as const) : ('high' as const),
        number: Number(number),
        state: Number(state),
        devid: Number.parseInt(devid, 16),
      },
    ];
  });
}

/** A root hub's ports count from 1, in the order of the status lines of its speed. */
function portsOf(lines: readonly StatusLine[], controller: string): VhciPort[] {
  const hubs = hubsOf(controller);
  const counts = { high: 0, super: 0 };
  return lines.flatMap(({ speed, number, state, devid }) => {
    const hub = hubs.find((candidate) => candidate.speed === speed);
    const place = ++counts[speed];
    if (hub === undefined) return [];
    return [{ number, speed, free: state === FREE, devid, devicePath: join(hub.path, `${hub.bus}-${place}`) }];
  });
}

interface RootHub {
  readonly path: string;
  readonly bus: number;
  readonly speed: Speed;
}

function hubsOf(controller: string): RootHub[] {
  return entries(controller).flatMap((name) => {
    const bus = /^usb(\d+)$/.exec(name)?.[1];
    const path = join(controller, name);
    const speed = read(join(path, 'speed'))?.trim();
    if (bus === undefined || speed === undefined) return [];
    return [{ path, bus: Number(bus), speed: Number(speed) >= 5000 ? ('super' as const) : ('high' as const) }];
  });
}

const numberOf = (name: string): number => Number(CONTROLLER.exec(name)?.[1]);

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // the module is not loaded, or goes
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** Never makes a file, and needs no right to read it: root without capabilities has none to attach. */
export function writeAttribute(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Where the kernel asks the device before the write ends. */
export async function writeSlowAttribute(path: string, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  try {
    await file.write(text);
  } finally {
    await file.close();
  }
}
