// Which backend and which protocol a configured tty gets: the one place where the supervisor's wishes become a Tty and a
// Link.
import { lookup } from 'node:dns/promises';
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { groupId, userId } from '../config/accounts.js';
import type { ResolvedConfig, ResolvedTty } from '../config/resolved.js';
import { Resolver } from '../driver/resolver.js';
import { ServerGate } from '../driver/server-gate.js';
import type { Link } from '../link/link.js';
import { RealComLink } from '../link/realcom.js';
import { Rfc2217Link } from '../link/rfc2217.js';
import { TcpLink } from '../link/tcp.js';
import { UdpLink } from '../link/udp.js';
import type { KeepFile } from '../native/keep-file.js';
import type { Pump } from '../native/pump.js';
import { closeFd } from '../native/socket.js';
import { DeviceLink } from '../tty/device-link.js';
import { PtyTty } from '../tty/pty.js';
import type { Tty } from '../tty/tty.js';
import { UsbipHost } from '../tty/usbip/host.js';
import { UsbipTty, type UsbipTtyKeeper } from '../tty/usbip/tty.js';
import type { KernelNames } from './backend/kernel-names.js';
import { lackFault } from './backend/needs.js';
import type { AdoptedTty, PortKeepers } from './handover/port-keepers.js';
import type { RunningServer } from './running-server.js';

export interface FactoryOptions {
  readonly pump: Pump;
  readonly clock: Clock;
  readonly random: () => number;
  readonly keepers: PortKeepers;
  /** Made when the first tty wants it. */
  readonly usbip: () => UsbipHost;
  readonly kernelNames: KernelNames;
}

function deviceLink(config: ResolvedConfig, tty: ResolvedTty, log: Log | undefined): DeviceLink {
  return new DeviceLink({
    runtimeDir: config.runtimeDir,
    linkDir: config.linkDir,
    name: tty.name,
    aliases: tty.aliases,
    report: (message) => log?.log('warn', message, { event: 'link' }),
  });
}

/** @param unmade called before a Fault is thrown */
function accounts({ owner, group, name }: ResolvedTty, unmade: () => void) {
  try {
    return {
      uid: owner === null ? undefined : userId(owner, name),
      // devpts gives every PTY to the group tty: without a word of the configuration it is the daemon's, as a file would be.
      gid: group === null ? process.getegid?.() : groupId(group, name),
    };
  } catch (error) {
    unmade();
    throw error;
  }
}

/** udev makes the names of kernel ttys, always in /dev. */
const udevPath = (tty: ResolvedTty): string => `/dev/${tty.name}`;

interface UsbipParts {
  readonly host: UsbipHost;
  readonly kernelNames: KernelNames;
  readonly keeper: UsbipTtyKeeper | undefined;
  readonly adopted: KeepFile | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

function makeUsbipTty(tty: ResolvedTty, { host, kernelNames, keeper, adopted, clock, log }: UsbipParts): Tty {
  const { name, aliases, group, mode, policy } = tty;
  const place = host.take(name, aliases, { mode, ...(group === null ? {} : { group }) });
  const path = udevPath(tty);
  const released = () => {
    kernelNames.remove(name);
    place.release();
  };
  kernelNames.add(name, path, () => place.trouble());
  try {
    return new UsbipTty({
      name,
      port: place.port,
      path,
      devicePath: () => UsbipHost.devicePath(path),
      trouble: () => place.trouble(),
      closingWaitMs: policy.closingWaitMs,
      clock,
      log,
      ...(keeper ? { keeper } : {}),
      ...(adopted ? { adopted } : {}),
      released,
    });
  } catch (error) {
    released();
    throw error;
  }
}

/** What the supervisor is composed with. `makeTty` throws a Fault where the TTY cannot be made. */
export function factories({ pump, clock, random, keepers, usbip, kernelNames }: FactoryOptions) {
  return {
    missing: (tty: string): string | undefined => kernelNames.missing(tty),

    ttyPath: (config: ResolvedConfig, tty: ResolvedTty): string =>
      tty.backend === 'usbip' ? udevPath(tty) : deviceLink(config, tty, undefined).path,

    makeTty: (config: ResolvedConfig, tty: ResolvedTty, log: Log, adopted: AdoptedTty['tty'] | undefined): Tty => {
      const keeper = keepers.pty(tty.name);
      const unmade = () => {
        keeper?.gone();
        adopted?.file.close();
        if (adopted?.master !== undefined) closeFd(adopted.master);
      };
      const refusal = lackFault(tty, tty.backend === 'usbip' ? 'usbip' : 'pty');
      if (refusal) {
        unmade();
        throw refusal;
      }
      if (tty.backend === 'usbip') {
        const kept = { keeper: keepers.usbipTty(tty.name), adopted: adopted?.file };
        return makeUsbipTty(tty, { host: usbip(), kernelNames, ...kept, clock, log });
      }
      const { uid, gid } = accounts(tty, unmade);
      return new PtyTty({
        name: tty.name,
        link: deviceLink(config, tty, log),
        pump,
        settings: tty.settings,
        mode: tty.mode,
        log,
        ...(keeper ? { keeper } : {}),
        ...(adopted?.master === undefined ? {} : { adopted: { fd: adopted.master, file: adopted.file } }),
        ...(uid === undefined ? {} : { uid }),
        ...(gid === undefined ? {} : { gid }),
      });
    },

    makeServer: (_name: string, address: string): RunningServer => ({
      address,
      gate: new ServerGate({ clock, random }),
      resolver: new Resolver(address, async (name) =>
        (await lookup(name, { all: true })).map((found) => found.address),
      ),
      preamble: 'unknown',
    }),

    makeLink: (tty: ResolvedTty, server: RunningServer, log: Log): Link => {
      const { dataPort, commandPort } = tty;
      const common = { addresses: () => server.resolver.addresses(), dataPort, clock, log };
      if (tty.protocol === 'rfc2217') return new Rfc2217Link(common);
      if (tty.protocol === 'udp') return new UdpLink({ ...common, localPort: tty.localPort });
      if (commandPort === null) return new TcpLink({ ...common, shared: keepers.present });
      return new RealComLink({
        ...common,
        commandPort,
        ipv6Preamble: tty.ipv6Preamble === 'auto' && server.preamble === 'no' ? 'off' : tty.ipv6Preamble,
        shared: keepers.present,
        onPreamble: (supported) => {
          server.preamble = supported ? 'yes' : 'no';
        },
      });
    },
  };
}
