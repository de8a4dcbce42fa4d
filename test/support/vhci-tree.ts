// A tree of files such as sysfs shows virtual host controllers in, in a folder of the test: their ports, root hubs and devices.
// Only shows what a test says; the kernel's own acts are in usbip-kernel.ts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type DeviceDescription, descriptor } from '../../src/protocol/usbip/descriptors.js';

export class VhciTree {
  readonly sys = mkdtempSync(join(tmpdir(), 'ttynp-sys-'));
  readonly #taken = new Map<number, number>();
  readonly #controllers: number;
  readonly #ports: number;

  /** @param ports of each root hub, two of which a controller has */
  constructor(controllers: number, ports: number) {
    this.#controllers = controllers;
    this.#ports = ports;
    for (let c = 0; c < controllers; c++) {
      for (const [n, speed] of [480, 5000].entries()) {
        const hub = join(this.controller(c), `usb${2 * c + n + 3}`);
        mkdirSync(hub, { recursive: true });
        writeFileSync(join(hub, 'speed'), `${speed}\n`);
        for (const file of ['authorized_default', 'interface_authorized_default'])
          writeFileSync(join(hub, file), '1\n');
      }
    }
    for (const file of ['attach', 'detach']) if (controllers > 0) writeFileSync(join(this.controller(0), file), '');
    for (const dir of ['bus/usb-serial/drivers/ftdi_sio', 'bus/usb/drivers/ftdi_sio']) {
      mkdirSync(join(this.sys, dir), { recursive: true });
    }
    writeFileSync(join(this.sys, 'bus/usb-serial/drivers/ftdi_sio/new_id'), '');
    writeFileSync(join(this.sys, 'bus/usb/drivers/ftdi_sio/bind'), '');
    this.#show();
  }

  controller(c: number): string {
    return join(this.sys, `devices/platform/vhci_hcd.${c}`);
  }

  /** Where the device on this port shows. */
  device(port: number): string {
    const c = Math.floor(port / (2 * this.#ports));
    const hub = Math.floor((port % (2 * this.#ports)) / this.#ports);
    const bus = 2 * c + hub + 3;
    return join(this.controller(c), `usb${bus}`, `${bus}-${(port % this.#ports) + 1}`);
  }

  /** @param devid 0: attached, and without an address yet */
  take(port: number, devid: number): void {
    this.#taken.set(port, devid);
    this.#show();
  }

  free(port: number): void {
    this.#taken.delete(port);
    rmSync(this.device(port), { recursive: true, force: true });
    this.#show();
  }

  isTaken(port: number): boolean {
    return this.#taken.has(port);
  }

  /** What the kernel shows of a device that it has read. */
  plugIn(port: number, strings: Readonly<Record<string, string>>, descriptors: Uint8Array, interfaces: number): void {
    const path = this.device(port);
    for (let i = 0; i < interfaces; i++) {
      mkdirSync(join(path, `${basename(path)}:1.${i}`), { recursive: true });
      writeFileSync(join(path, `${basename(path)}:1.${i}`, 'authorized'), '0\n');
    }
    mkdirSync(path, { recursive: true });
    for (const [file, text] of Object.entries(strings)) writeFileSync(join(path, file), `${text}\n`);
    writeFileSync(join(path, 'authorized'), '0\n');
    writeFileSync(join(path, 'descriptors'), descriptors);
  }

  read(path: string): string {
    return readFileSync(join(this.sys, path), 'utf8');
  }

  remove(): void {
    rmSync(this.sys, { recursive: true, force: true });
  }

  #show(): void {
    for (let c = 0; c < this.#controllers; c++) {
      const lines = ['hub port sta spd dev      sockfd local_busid'];
      for (let n = 0; n < 2 * this.#ports; n++) {
        const port = 2 * this.#ports * c + n;
        const devid = this.#taken.get(port);
        const state = devid === undefined ? '004 000' : devid === 0 ? '005 000' : '006 003';
        const id = (devid ?? 0).toString(16).padStart(8, '0');
        const number = String(port).padStart(4, '0');
        lines.push(`${n < this.#ports ? 'hs' : 'ss'}  ${number} ${state} ${id} 000000 ${devid ? '3-1' : '0-0'}`);
      }
      writeFileSync(join(this.controller(0), c === 0 ? 'status' : `status.${c}`), `${lines.join('\n')}\n`);
    }
  }
}

/** The file `descriptors` of a device: its own, and its configuration's. */
export function descriptorsOf(device: DeviceDescription): Uint8Array {
  const parts = [descriptor(device, 0x0100), descriptor(device, 0x0200)];
  return Uint8Array.from(parts.flatMap((part) => [...(part ?? [])]));
}
