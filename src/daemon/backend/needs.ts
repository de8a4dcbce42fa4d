// What an application may need of a tty, against what a backend can carry. Pure.
import { Fault } from '../../base/fault.js';
import type { Need, ResolvedTty } from '../../config/resolved.js';
import { PTY_CAPABILITIES } from '../../tty/pty.js';
import type { TtyCapabilities } from '../../tty/tty.js';
import { USBIP_CAPABILITIES } from '../../tty/usbip/tty.js';

export type Backend = 'pty' | 'usbip';

const CAPABILITIES: Readonly<Record<Backend, TtyCapabilities>> = { pty: PTY_CAPABILITIES, usbip: USBIP_CAPABILITIES };

/** What an application needs, and what of a backend's capabilities that is. */
const NEEDS: Readonly<Record<Need, (capabilities: TtyCapabilities) => boolean>> = {
  parity: ({ parity, dataBits }) => parity && dataBits,
  'modem-lines': ({ modemLines }) => modemLines,
  drain: ({ drain }) => drain,
  break: ({ breaks }) => breaks,
};

/** What of the needs the backend has not. */
export function lacks(needs: readonly Need[], backend: Backend): Need[] {
  return needs.filter((need) => !NEEDS[need](CAPABILITIES[backend]));
}

/** The refusal of a tty whose backend cannot give what the configuration says is needed. */
export function lackFault({ name, needs }: ResolvedTty, backend: Backend): Fault | undefined {
  const missing = lacks(needs, backend);
  if (missing.length === 0) return undefined;
  const advice = backend === 'usbip' ? 'take it out of needs' : 'set backend: usbip';
  return new Fault('NOT_SUPPORTED', `${name} needs ${missing.join(', ')}, which backend ${backend} has not: ${advice}`);
}
