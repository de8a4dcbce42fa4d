// A session whose tty is a port of a virtual adapter, before the simulator; the kernel's driver is played (ftdi-driver.ts).
import { SystemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import type { PortPolicy } from '../../src/driver/policy.js';
import { ServerGate } from '../../src/driver/server-gate.js';
import { Session } from '../../src/driver/session.js';
import type { Link } from '../../src/link/link.js';
import { RealComLink } from '../../src/link/realcom.js';
import { Pump } from '../../src/native/pump.js';
import { socketPair } from '../../src/native/socket.js';
import { runSimulator, type SimulatorHandle, type SimulatorOptions } from '../../src/serve/simulator.js';
import { UsbipAdapter } from '../../src/tty/usbip/adapter.js';
import { UsbipTty } from '../../src/tty/usbip/tty.js';
import { type DriverApp, FtdiDriver } from './ftdi-driver.js';
import { LineRecorder } from './line-recorder.js';
import { POLICY } from './rig.js';

const DESCRIPTION = {
  speed: 'high',
  vendorId: 0x1209,
  productId: 0x7474,
  release: 0x0800,
  manufacturer: 'ttynp',
  product: 'serial',
  serial: 'N0',
  interfaces: 2,
} as const;

export interface UsbipRig {
  readonly simulator: SimulatorHandle;
  readonly recorder: LineRecorder;
  readonly session: Session;
  readonly tty: UsbipTty;
  readonly driver: FtdiDriver;
  open(): DriverApp;
  close(): Promise<void>;
}

/**
 * The second port of an adapter, as a tty, and who plays the kernel's driver. The tty's close unplugs the adapter.
 * @param node whose opens and closes are the application's
 */
export function plugInTty(pump: Pump, node = '/dev/ttyUSB1'): { driver: FtdiDriver; tty: UsbipTty } {
  const adapter = new UsbipAdapter({ pump });
  const [ours, kernels] = socketPair();
  const driver = new FtdiDriver(kernels);
  adapter.plug(ours, DESCRIPTION, () => {});
  const tty = new UsbipTty({
    name: 'ttyNP0',
    port: adapter.port(1),
    path: '/dev/ttyNP0',
    devicePath: () => node,
    trouble: () => undefined,
    closingWaitMs: 300,
    clock: new SystemClock(),
    log: silentLog,
    released: () => adapter.close(),
  });
  return { driver, tty };
}

export async function startUsbipRig(
  options: {
    simulator?: SimulatorOptions;
    policy?: Partial<PortPolicy>;
    node?: string;
    /** Another device than the simulator's. */
    makeLink?: () => Link;
  } = {},
): Promise<UsbipRig> {
  const recorder = new LineRecorder();
  const simulator = await runSimulator({
    ports: 1,
    dataPort: 0,
    commandPort: 0,
    observer: () => recorder,
    ...options.simulator,
  });
  const clock = new SystemClock();
  const pump = new Pump();
  const { driver, tty } = plugInTty(pump, options.node);
  const { dataPort, commandPort } = simulator.port(1);
  const session = new Session({
    tty,
    policy: { ...POLICY, ...options.policy },
    ticket: new ServerGate({ clock, random: Math.random }).enter(),
    makeLink:
      options.makeLink ??
      (() => new RealComLink({ addresses: ['127.0.0.1'], dataPort, commandPort, clock, log: silentLog })),
    clock,
    log: silentLog,
    changed: () => {},
    faulted: () => {},
    recovered: () => {},
  });
  session.start();
  const apps: DriverApp[] = [];
  return {
    simulator,
    recorder,
    session,
    tty,
    driver,
    open() {
      const app = driver.open(1);
      apps.push(app);
      return app;
    },
    async close() {
      for (const app of apps) app.close();
      await session.stop(1000);
      driver.close();
      pump.close();
      await simulator.close();
    },
  };
}
