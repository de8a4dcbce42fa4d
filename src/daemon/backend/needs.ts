// What an application may need of a tty, against what its backend and its protocol can carry. Pure.
import { Fault } from '../../base/fault.js';
import type { Need, Protocol, ResolvedTty } from '../../config/resolved.js';
import type { LinkCapabilities } from '../../link/link.js';
import { RFC2217_CAPABILITIES } from '../../link/rfc2217.js';
import { TCP_CAPABILITIES } from '../../link/tcp.js';
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

/** What of a protocol's capabilities it is. Real COM has them all. */
const CARRIED: Readonly<Record<Need, keyof LinkCapabilities>> = {
  parity: 'settings',
  'modem-lines': 'modemLines',
  drain: 'drain',
  break: 'breaks',
};
const PROTOCOLS: Readonly<Record<Protocol, LinkCapabilities | undefined>> = {
  realcom: undefined,
  rfc2217: RFC2217_CAPABILITIES,
  tcp: TCP_CAPABILITIES,
  udp: TCP_CAPABILITIES,
};

const NO_DRAIN =
  'drain: the end of output is when the server has the bytes; what it has still to transmit it does not tell';
/** One line each, as of a backend. */
const LIMITS: Readonly<Record<Protocol, readonly string[]>> = {
  realcom: [],
  rfc2217: [
    NO_DRAIN,
    'flow control: RTS/CTS and XON/XOFF at once are RTS/CTS alone; XON and XOFF are the usual characters',
    'restart: the connection is made anew; the tty and its application stay',
  ],
  tcp: [
    'raw TCP: settings, DTR, RTS, modem lines, line errors, break and flush stay here; set the port up at the server',
    NO_DRAIN,
  ],
  udp: [
    'settings, DTR, RTS, modem lines, break and flush: UDP has no word for them; the port is set up at the server',
    'datagrams: what is lost is lost, and whether anybody is there nothing tells',
    'restart: the socket is made anew; the tty and its application stay',
  ],
};

export function protocolLimits(protocol: Protocol): readonly string[] {
  return LIMITS[protocol];
}

/** What of the needs the backend has not. */
export function lacks(needs: readonly Need[], backend: Backend): Need[] {
  return needs.filter((need) => !NEEDS[need](CAPABILITIES[backend]));
}

/** The refusal of a tty whose backend or protocol cannot give what the configuration says is needed. */
export function lackFault({ name, needs, protocol }: ResolvedTty, backend: Backend): Fault | undefined {
  const capabilities = PROTOCOLS[protocol];
  const uncarried = needs.filter((need) => capabilities?.[CARRIED[need]] === false);
  if (uncarried.length > 0) {
    const text = `${name} needs ${uncarried.join(', ')}, which protocol ${protocol} has not: take it out of needs`;
    return new Fault('NOT_SUPPORTED', text);
  }
  const missing = lacks(needs, backend);
  if (missing.length === 0) return undefined;
  const advice = backend === 'usbip' ? 'take it out of needs' : 'set backend: usbip';
  return new Fault('NOT_SUPPORTED', `${name} needs ${missing.join(', ')}, which backend ${backend} has not: ${advice}`);
}
