// The two lines between the daemon and the root helper that plugs its devices in: one JSON object each way. After the
// helper's "ok" the connection is the kernel's, and carries USB/IP. No IO here. See docs/usbip-helper.md.
import { MAX_INTERFACES, type Speed } from '../../protocol/usbip/descriptors.js';
import { SERIAL } from './identity.js';

/** Without its end of line. */
export const MAX_LINE_BYTES = 1024;
export const DEFAULT_SOCKET = '/run/ttynp-usbip.sock';

export interface AttachRequest {
  /** 'any': the helper chooses, and says what. */
  readonly speed: Speed | 'any';
  readonly serial: string;
  readonly interfaces: number;
}

/** The map of names has changed: udev is to look at our ttys again. */
export interface NamesRequest {
  readonly names: true;
}

/** Could a device be plugged in? Plugs none. */
export interface ProbeRequest {
  readonly probe: true;
}

export type HelperRequest = AttachRequest | NamesRequest | ProbeRequest;

/** Why not: `refused` who asks, `request` what it asks, `missing` a module, `full` no free port. */
export type RefusalCode = 'refused' | 'request' | 'missing' | 'full' | 'failed';

export type HelperAnswer =
  | { readonly ok: true; readonly speed?: Speed; readonly ttys?: number }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string };

const REFUSALS: ReadonlySet<unknown> = new Set<RefusalCode>(['refused', 'request', 'missing', 'full', 'failed']);

export const encodeLine = (value: HelperRequest | HelperAnswer): string => `${JSON.stringify(value)}\n`;

/** A sentence where the line is no request. */
export function parseRequest(line: string): HelperRequest | string {
  const value = objectOf(line);
  if (value === undefined) return 'no JSON object';
  const keys = Object.keys(value).sort().join(' ');
  if (keys === 'names') return value.names === true ? { names: true } : 'names: only true is known';
  if (keys === 'probe') return value.probe === true ? { probe: true } : 'probe: only true is known';
  if (keys !== 'interfaces serial speed') return 'it has to have speed, serial and interfaces, and nothing else';
  const { speed, serial, interfaces } = value;
  if (speed !== 'high' && speed !== 'super' && speed !== 'any') return 'speed: high, super or any';
  if (typeof serial !== 'string' || !SERIAL.test(serial)) return 'serial: letters, digits, dot, underscore and hyphen';
  if (
    typeof interfaces !== 'number' ||
    !Number.isInteger(interfaces) ||
    interfaces < 1 ||
    interfaces > MAX_INTERFACES
  ) {
    return `interfaces: 1 to ${MAX_INTERFACES}`;
  }
  return { speed, serial, interfaces };
}

/** Undefined where it is none of the helper's. */
export function parseAnswer(line: string): HelperAnswer | undefined {
  const value = objectOf(line);
  if (value?.ok === true) {
    const { speed, ttys } = value;
    return {
      ok: true,
      ...(speed === 'high' || speed === 'super' ? { speed } : {}),
      ...(typeof ttys === 'number' ? { ttys } : {}),
    };
  }
  if (value?.ok !== false || typeof value.message !== 'string' || !isRefusal(value.code)) return undefined;
  return { ok: false, code: value.code, message: printable(value.message) };
}

const isRefusal = (value: unknown): value is RefusalCode => REFUSALS.has(value);

/** One line of a log, whoever wrote it. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]+/g, ' ');

function objectOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
