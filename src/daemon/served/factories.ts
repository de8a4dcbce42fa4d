// Which server a configured serial port gets: the one place where a mode's name becomes a server.
import { packageVersion } from '../../api/version.js';
import type { Clock } from '../../base/clock.js';
import type { ResolvedSerialPort } from '../../config/resolved.js';
import { AccessList } from '../../serve/access-list.js';
import { EthernetModemPort } from '../../serve/ethernet-modem.js';
import type { ListenHints } from '../../serve/listener.js';
import { pairSlave } from '../../serve/pair.js';
import { PairMasterPort } from '../../serve/pair-master.js';
import type { PortEvent, PortServer } from '../../serve/port-server.js';
import type { PortTrace } from '../../serve/port-trace.js';
import { RealComPort } from '../../serve/real-com.js';
import { ReverseTelnetPort } from '../../serve/reverse-telnet.js';
import { Rfc2217Port } from '../../serve/rfc2217.js';
import { TcpClientPort } from '../../serve/tcp-client.js';
import { TcpServerPort } from '../../serve/tcp-server.js';
import { UdpPort } from '../../serve/udp.js';
import { HalfDuplexUart } from '../../uart/half-duplex.js';
import { SerialPortUart } from '../../uart/serialport.js';
import type { Uart } from '../../uart/uart.js';
import { KeptModemProfiles } from './modem-profiles.js';
import type { ServedPortsOptions } from './served-ports.js';

/** RTS while it transmits; our own bytes are not heard. */
const RS485 = { rtsOnSend: true, receiveDuringTransmit: false, delayBeforeMs: 0, delayAfterMs: 0 };

function hints({ served }: ResolvedSerialPort): ListenHints {
  if (served.mode === 'udp')
    return {
      taken: 'choose another with udpPort, or see who has it: ss -lunp',
      privileged: 'choose a higher one with udpPort, or give the service CAP_NET_BIND_SERVICE: see ttynpd(8)',
    };
  const commanded = served.mode === 'tcp-server' && served.commandPort !== null;
  const keys =
    served.mode === 'real-com' ? 'dataPort and commandPort' : commanded ? 'tcpPort and commandPort' : 'tcpPort';
  return {
    taken: `choose another with ${keys}, or see who has it: ss -ltnp`,
    privileged: `choose higher ones with ${keys}, or give the service CAP_NET_BIND_SERVICE: see ttynpd(8)`,
  };
}

/** @param stateDirectory what outlives the daemon is kept there; absent: it is kept until the daemon ends */
export function servedFactories(
  clock: Clock,
  stateDirectory?: string,
): Pick<ServedPortsOptions, 'makeUart' | 'makeServer'> {
  const profiles = new KeptModemProfiles(stateDirectory);
  return {
    makeUart: ({ device, settings, rs485, turnaroundDelayMs: turnaroundMs, echoSuppression }) => {
      const uart = new SerialPortUart({ device, settings, clock, ...(rs485 ? { rs485: RS485 } : {}) });
      const isPlain = turnaroundMs === 0 && !echoSuppression;
      return isPlain ? uart : new HalfDuplexUart(uart, { clock, turnaroundMs, echoSuppression });
    },

    makeServer: (
      config: ResolvedSerialPort,
      uart: Uart,
      event: (event: PortEvent) => void,
      trace: PortTrace,
    ): PortServer | undefined => {
      const { served, listen, accessibleIps, aliveCheckMs, connectionGoesDown, packing } = config;
      const access = new AccessList(accessibleIps);
      const common = {
        clock,
        uart,
        event,
        trace,
        address: listen,
        hints: hints(config),
        admits: (address: string) => access.admits(address),
        linesWhenFree: connectionGoesDown,
        aliveCheckMs,
        packing: packing ?? undefined,
      };
      switch (served.mode) {
        case 'disabled':
          return undefined;
        case 'real-com':
          return new RealComPort({ ...common, ...served });
        case 'rfc2217':
          return new Rfc2217Port({
            ...common,
            port: served.tcpPort,
            signature: `ttynp serial port ${config.port}`,
          });
        case 'tcp-server':
          return new TcpServerPort({
            ...common,
            ...served,
            port: served.tcpPort,
            commandPort: served.commandPort ?? undefined,
            inactivityMs: served.inactivityTimeMs,
          });
        case 'udp':
          return new UdpPort({ ...common, port: served.udpPort, destinations: served.destinations });
        case 'tcp-client':
          return new TcpClientPort({ ...common, ...served, inactivityMs: served.inactivityTimeMs });
        case 'ethernet-modem':
          return new EthernetModemPort({
            ...common,
            port: served.tcpPort,
            profiles: profiles.of(config.port),
            identity: [`ttynp serial port ${config.port}`, packageVersion(), 'Ethernet modem'],
          });
        case 'pair-master':
          return new PairMasterPort({ ...common, destination: served.destination });
        case 'pair-slave':
          return pairSlave({ ...common, port: served.tcpPort });
        case 'reverse-telnet':
          return new ReverseTelnetPort({
            ...common,
            port: served.tcpPort,
            newline: served.mapCrLf,
            inactivityMs: served.inactivityTimeMs,
          });
        default:
          return served satisfies never;
      }
    },
  };
}
