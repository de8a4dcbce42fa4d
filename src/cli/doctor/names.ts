// Who owns the name of a tty in /dev, and whether it leads where its owner has to lead it: udev's to the kernel tty of the
// adapter and interface that the daemon's map says, the link step's to the daemon's own link. Facts are looked up here, the
// judgement of them is pure. Changes nothing.
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PortView } from '../../api/types.js';
import { MANUFACTURER } from '../../tty/usbip/identity.js';
import { type MappedTty, mappedTtys, NAMES_FILE } from '../../tty/usbip/names.js';
import { type Check, failed, notChecked, ok } from './check.js';

export interface NamePlaces {
  readonly dev: string;
  readonly sys: string;
  readonly runtimeDir: string;
}

export interface NameOwnerFacts {
  readonly runtimeDir: string;
  /** Of the daemon's map; undefined: it has none of that name, null: this user cannot read it. */
  readonly mapped: MappedTty | undefined | null;
  /** The daemon's own link, to a PTY, is there. */
  readonly ptyLink: boolean;
  /** Where each name leads to, in /dev; undefined: there is no link of that name. */
  readonly targets: readonly { readonly path: string; readonly target: string | undefined }[];
  /** The kernel tty that the map means: ttyUSB3; undefined: there is none. */
  readonly kernelTty: string | undefined;
}

/** Of the whole machine, looked up once. */
export interface NameSurvey extends NamePlaces {
  readonly map: readonly MappedTty[] | null;
  /** By "SERIAL INTERFACE". */
  readonly kernelTtys: ReadonlyMap<string, string>;
}

export function surveyNames(places: NamePlaces): NameSurvey {
  return { ...places, map: readMap(join(places.runtimeDir, NAMES_FILE)), kernelTtys: kernelTtys(places.sys) };
}

export function nameOwnerFacts(
  { name, aliases }: Pick<PortView, 'name' | 'aliases'>,
  { dev, runtimeDir, map, kernelTtys }: NameSurvey,
): NameOwnerFacts {
  const mapped = map === null ? null : map.find(({ names }) => names[0] === name);
  return {
    runtimeDir,
    mapped,
    ptyLink: linkTarget(join(runtimeDir, name)) !== undefined,
    targets: [name, ...aliases].map((one) => ({ path: join(dev, one), target: linkTarget(join(dev, one)) })),
    kernelTty: mapped ? kernelTtys.get(`${mapped.serial} ${mapped.interface}`) : undefined,
  };
}

export function nameCheck(view: PortView, facts: NameOwnerFacts): Check {
  const usbip = view.backend === 'usbip';
  const two = usbip ? facts.ptyLink : Boolean(facts.mapped);
  if (two) {
    const text = `two owners: ${facts.runtimeDir}/${view.name} leads to a PTY, and ${NAMES_FILE} there gives the name to udev`;
    return failed('name', text, 'systemctl restart ttynpd');
  }
  if (usbip) return usbipCheck(view, facts);
  for (const { path, target } of facts.targets) {
    if (target === undefined || !isKernelTty(target)) continue;
    const text = `stale: ${path} leads to ${target}, and the tty is a PTY now`;
    return failed('name', text, `sudo rm ${path}, then: systemctl start ttynp-links`);
  }
  return ok('name', "the link step's, not udev's");
}

const ASK_UDEV = 'sudo udevadm trigger --action=change --subsystem-match=tty';

function usbipCheck(view: PortView, { mapped, kernelTty, targets, runtimeDir }: NameOwnerFacts): Check {
  if (mapped === null) return notChecked('name', `udev's; ${runtimeDir}/${NAMES_FILE} cannot be read`, 'run with sudo');
  if (mapped === undefined) {
    return failed('name', `udev's, but ${runtimeDir}/${NAMES_FILE} does not have it`, 'systemctl restart ttynpd');
  }
  const device = `interface ${mapped.interface} of ${mapped.serial}`;
  if (kernelTty === undefined) {
    return failed(
      'name',
      `udev's, but there is no kernel tty (${device})`,
      view.reason?.message ?? 'see: ttynp health',
    );
  }
  for (const { path, target } of targets) {
    if (target === kernelTty) continue;
    if (target === undefined) return failed('name', `udev has not made ${path} for ${kernelTty} (${device})`, ASK_UDEV);
    const stale = dirname(target) === runtimeDir;
    const text = stale
      ? `stale: ${path} leads to ${target}, and the tty is no PTY any more`
      : `${path} leads to ${target}, and its port is ${kernelTty} (${device})`;
    return failed('name', text, stale ? `sudo rm ${path}, then: ${ASK_UDEV}` : ASK_UDEV);
  }
  return ok('name', `udev's: ${kernelTty}, ${device}`);
}

/** Without a tty that is looked at: one check over all of them. */
export function namesCheck(ports: readonly PortView[], survey: NameSurvey): Check {
  const made = ports.filter(({ backend }) => backend === 'usbip' || backend === 'pty');
  const checks = made.map((view) => ({ view, check: nameCheck(view, nameOwnerFacts(view, survey)) }));
  const bad = checks.filter(({ check }) => check.result === 'failed');
  const [first] = bad;
  if (first !== undefined) {
    const more = bad.length > 1 ? ` (and ${bad.length - 1} more)` : '';
    return failed('names', `${first.view.name}: ${first.check.text}${more}`, first.check.hint ?? '');
  }
  const unknown = checks.filter(({ check }) => check.result === 'not checked').length;
  if (unknown > 0) return notChecked('names', `${unknown} names cannot be checked by this user`, 'run with sudo');
  const udevs = made.filter(({ backend }) => backend === 'usbip').length;
  return ok('names', `${made.length - udevs} are the link step's, ${udevs} are udev's, none is both`);
}

const isKernelTty = (target: string): boolean => /^(?:\/dev\/)?ttyUSB\d+$/.test(target);

/** null: it is there and cannot be read. */
function readMap(file: string): MappedTty[] | null {
  try {
    return mappedTtys(readFileSync(file, 'utf8'));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'EACCES' ? null : [];
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Of our adapters, by "SERIAL INTERFACE": bus/usb-serial/devices/ttyUSB3 lies in the interface, which lies in the device. */
function kernelTtys(sys: string): Map<string, string> {
  const found = new Map<string, string>();
  const devices = join(sys, 'bus/usb-serial/devices');
  for (const tty of entries(devices)) {
    try {
      const usbInterface = dirname(realpathSync(join(devices, tty)));
      const device = dirname(usbInterface);
      const read = (...path: string[]) => readFileSync(join(...path), 'utf8').trim();
      if (read(device, 'manufacturer') !== MANUFACTURER) continue;
      found.set(`${read(device, 'serial')} ${Number.parseInt(read(usbInterface, 'bInterfaceNumber'), 16)}`, tty);
    } catch {
      // unplugged meanwhile, or another's
    }
  }
  return found;
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
