// Lets a device in that was plugged in unauthorised: waits until the kernel has read it, looks at it, authorises it and gives
// each of its interfaces to ftdi_sio and to no other driver; unplugs what is not what was asked for. The device's process may
// stall it at any step: the time of all steps together is limited. Follows docs/usbip-helper.md, "What is let in".
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Clock, sleep } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import { CONFIGURATION_VALUE, objection, type Wanted } from './device-check.js';
import { type Vhci, type VhciPort, writeAttribute, writeSlowAttribute } from './vhci.js';

const POLL_MS = 25;
const READ_MS = 10_000;
const WHOLE_MS = 60_000;
/** Of ftdi_sio, as a driver of USB interfaces. */
const BIND = 'bus/usb/drivers/ftdi_sio/bind';
const GONE = 'it was unplugged meanwhile';
const AUTHORISATION = ['authorized_default', 'interface_authorized_default'];

export interface AdmissionOptions {
  readonly vhci: Vhci;
  readonly sys: string;
  readonly clock: Clock;
}

/** Nothing that is plugged into a virtual controller gets a driver by itself from now on. */
export function closeHubs(vhci: Vhci): void {
  for (const hub of vhci.rootHubs) {
    for (const file of AUTHORISATION) {
      const path = join(hub, file);
      if (readFileSync(path, 'latin1').trim() !== '0') writeAttribute(path, '0');
    }
  }
}

/**
 * Resolves with what became of the device, a line. It is unplugged then where that is not "ok". Never rejects.
 * @param devid as it was plugged in with
 */
export async function admit(
  { vhci, sys, clock }: AdmissionOptions,
  port: VhciPort,
  devid: number,
  wanted: Wanted,
): Promise<{ ok: boolean; text: string }> {
  const still = () => vhci.holds(port.number, devid);
  let late = false;
  const limit = clock.after(WHOLE_MS, () => {
    late = true;
    if (still()) vhci.detach(port.number);
  });
  try {
    const text = await steps({ sys, clock }, port, wanted, still);
    if (text === undefined) return { ok: true, text: '' };
    if (!still()) return { ok: false, text: GONE };
    vhci.detach(port.number);
    return { ok: false, text };
  } catch (error) {
    if (!still()) return { ok: false, text: late ? `not ready within ${WHOLE_MS / 1000} s` : GONE };
    vhci.detach(port.number);
    return { ok: false, text: messageOf(error) };
  } finally {
    limit.cancel();
  }
}

/** Undefined: it is in. */
async function steps(
  { sys, clock }: Omit<AdmissionOptions, 'vhci'>,
  { devicePath }: VhciPort,
  wanted: Wanted,
  still: () => boolean,
): Promise<string | undefined> {
  const until = clock.now() + READ_MS;
  while (!existsSync(join(devicePath, 'descriptors'))) {
    if (!still()) return GONE;
    if (clock.now() >= until) return `the kernel could not read it within ${READ_MS / 1000} s`;
    await sleep(clock, POLL_MS);
  }
  const before = objection(devicePath, wanted);
  if (before !== undefined) return before;
  await writeSlowAttribute(join(devicePath, 'authorized'), '1');
  // The kernel may have read the device's descriptor again for that.
  const after = objection(devicePath, wanted);
  if (after !== undefined) return after;
  for (let i = 0; i < wanted.interfaces; i++) {
    const name = `${basename(devicePath)}:${CONFIGURATION_VALUE}.${i}`;
    writeAttribute(join(devicePath, name, 'authorized'), '1');
    await writeSlowAttribute(join(sys, BIND), name);
  }
  return undefined;
}
