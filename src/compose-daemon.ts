// Composes the daemon from its parts and lives until SIGTERM. Everything that it decides is decided elsewhere.
import { accessSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { packageVersion } from './api/version.js';
import { type Clock, SystemClock, sleep } from './base/clock.js';
import { Fault, messageOf } from './base/fault.js';
import { loadConfig } from './config/load.js';
import { ConfigFault } from './config/problems.js';
import type { ResolvedConfig } from './config/resolved.js';
import { MetricsServer } from './control/metrics-server.js';
import { ControlServer } from './control/server.js';
import { CHOICE_FILE } from './daemon/backend/choice-file.js';
import { BackendChoices } from './daemon/backend/choices.js';
import { KernelNames } from './daemon/backend/kernel-names.js';
import { configAtStart } from './daemon/config-at-start.js';
import { ConnectionLog } from './daemon/connection-log.js';
import { descriptorLimit, descriptorWarning } from './daemon/descriptor-limit.js';
import { factories } from './daemon/factories.js';
import { openDescriptorStore } from './daemon/handover/descriptor-store.js';
import { type KeptDaemon, PortKeepers } from './daemon/handover/port-keepers.js';
import { ServedKeepers } from './daemon/handover/served-keepers.js';
import { DiscoveryService } from './daemon/served/discovery.js';
import { servedFactories } from './daemon/served/factories.js';
import { ServedPorts } from './daemon/served/served-ports.js';
import { ServiceManager } from './daemon/service-manager.js';
import { Supervisor } from './daemon/supervisor.js';
import { notify } from './native/notify.js';
import { Pump } from './native/pump.js';
import { isJournalStream, JOURNAL_SOCKET } from './observe/journal.js';
import { createLog, mayColour, type ProgramLog } from './observe/log.js';
import { AccessList } from './serve/access-list.js';
import { announceNames, attachDevice, probeHelper } from './tty/usbip/attach.js';
import { type AdapterKeeper, UsbipHost } from './tty/usbip/host.js';
import { isDriverless } from './tty/usbip/kernel-device.js';
import { NAMES_FILE } from './tty/usbip/names.js';

export interface DaemonOptions {
  readonly configFile: string;
  /** Overrides the configuration's. */
  readonly logFormat?: 'plain' | 'json' | undefined;
  readonly logLevel?: 'error' | 'warn' | 'info' | 'debug' | undefined;
}

/** The service manager takes what it was told in far less. */
const BARRIER_MS = 5000;

/** A controller that is busy is asked again by the helper. */
const HELPER_MS = 10_000;

/** What is offered listens when the service is ready, unless its device takes longer than this to be opened. */
const READY_WAIT_MS = 1000;

/** A clean end must be over within 5 s; this much of it may be spent on transmitting what applications wrote. */
const STOP_DRAIN_MS = 3000;
const STOP_LIMIT_MS = 4500;

/** Resolves when the daemon has ended: 0 after SIGTERM or SIGINT. Rejects with a Fault where it cannot start. */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const configFile = resolve(options.configFile);
  const clock = new SystemClock();
  const asked = await configAtStart({
    load: () => loadConfig(configFile).config,
    runtimeDirectory: process.env.RUNTIME_DIRECTORY,
    clock,
    waiting: (error) => notify(`STATUS=waiting for a valid configuration: ${error}`),
  });
  const log = createLog(logOptions(asked, options), clock);
  prepareRuntimeDir(asked.runtimeDir);
  // First of all: it tells whether another daemon lives, before a link of its is touched.
  const control = await ControlServer.bind({
    path: join(asked.runtimeDir, 'control.sock'),
    mode: asked.control.mode,
    group: asked.control.group,
    log,
  });
  const helper = { socketPath: asked.usbip.socket, timeoutMs: HELPER_MS };
  const choices = new BackendChoices({
    file: process.env.STATE_DIRECTORY ? join(process.env.STATE_DIRECTORY, CHOICE_FILE) : undefined,
    clock,
    log,
    usbipTrouble: () => probeHelper(helper).then(() => undefined, messageOf),
  });
  const config = await choices.choose(asked);
  const store = openDescriptorStore({ clock, log, environment: process.env, pid: process.pid });
  const keepers = new PortKeepers(store, log);
  const hand = keepers.hand();
  const pump = new Pump(hand?.file);
  const connections = new ConnectionLog(log, clock);
  let usbipHost: UsbipHost | undefined;
  const usbip = () => {
    usbipHost ??= makeUsbipHost(helper, config.runtimeDir, pump, keepers.adapters(), clock, log);
    return usbipHost;
  };
  const kernelNames = new KernelNames({
    dev: '/dev',
    clock,
    changed: (tty) => supervisor.nameChanged(tty),
    ask: () => usbipHost?.lookAgain(),
  });
  const served = new ServedPorts({
    clock,
    log,
    keepers: new ServedKeepers(store, log),
    ...servedFactories(clock, process.env.STATE_DIRECTORY || undefined),
  });
  const supervisor = new Supervisor(
    {
      version: packageVersion(),
      configFile,
      clock,
      log,
      load: () => load(configFile),
      choose: (wanted, again) => choices.choose(wanted, again),
      choice: (tty) => choices.view(tty),
      faulted: (server, tty, fault, down) =>
        connections.faulted(server, tty, fault, down, addressOf(supervisor.config, server)),
      recovered: (server, tty) => connections.recovered(server, tty),
      unmade: (server, tty, fault) => connections.unmade(server, tty, fault),
      usbip: (action) => (action === 'suspend' ? usbipHost?.suspend() : usbipHost?.resume()) ?? 0,
      monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
      pumpUnansweredMs: () => pump.unansweredMs,
      keepers,
      served,
      discovery: new DiscoveryService({ clock, log, listeners: () => served.listeners() }),
      ...factories({ pump, clock, random: Math.random, keepers, usbip, kernelNames }),
    },
    config,
  );
  control.serve(supervisor);
  const metrics =
    config.metrics &&
    new MetricsServer({
      ...config.metrics.listen,
      clock,
      log,
      admits: (address) => admitsTo(supervisor.config.metrics, address),
      metrics: () => supervisor.metrics(),
    });
  metrics?.start();
  const few = descriptorWarning(
    config.ttys.length,
    config.serialPorts.map(({ served }) => served),
    descriptorLimit(),
  );
  if (few) log.log('warn', few, { event: 'descriptors' });
  const started = supervisor.start();
  // An earlier process's: names that nobody has are nobody's.
  if (!usbipHost) rmSync(join(config.runtimeDir, NAMES_FILE), { force: true });
  usbipHost?.settle();
  keepers.discardRest();
  keepers.sign({ version: packageVersion(), handedOver: false });
  // Every tty that could not be made is known by now.
  connections.flush();
  const manager = new ServiceManager({
    clock,
    log,
    present: Boolean(process.env.NOTIFY_SOCKET),
    watchdogUsec: process.env.WATCHDOG_USEC,
    pumpUnansweredMs: () => pump.unansweredMs,
    status: () => statusLine(supervisor),
  });
  sayStart(log, `${statusLine(supervisor)}, ${configFile}`, hand?.before);
  const stopped = untilStopped(supervisor, manager, log);
  // Who is ordered after us connects at once; a device that does not answer keeps nobody waiting.
  const waiting = new AbortController();
  await Promise.race([started, stopped, sleep(clock, READY_WAIT_MS, waiting.signal).catch(() => {})]);
  waiting.abort();
  manager.ready();
  const signal = await stopped;
  manager.stopping();
  if (signal === 'SIGTERM' && store.present) {
    log.log('info', 'handing over to the next daemon', { event: 'stopping' });
    await supervisor.handOver(STOP_DRAIN_MS, () => pump.freeze());
    keepers.sign({ version: packageVersion(), handedOver: true });
    store.barrier(BARRIER_MS);
    // At once: whatever still ran would change what was handed over.
    process.exit(0);
  }
  log.log('info', 'stopping', { event: 'stopping' });
  const limit = setTimeout(() => {
    log.log('warn', `not all ports ended within ${STOP_LIMIT_MS} ms`);
    process.exit(0);
  }, STOP_LIMIT_MS);
  await supervisor.stop(STOP_DRAIN_MS);
  usbipHost?.close();
  await Promise.all([control.close(), metrics?.close()]);
  connections.flush();
  pump.close();
  log.log('info', 'stopped', { event: 'stopped' });
  log.close();
  clearTimeout(limit);
  return 0;
}

interface HelperPlace {
  readonly socketPath: string;
  readonly timeoutMs: number;
}

/** Its devices are plugged in by the root helper. */
function makeUsbipHost(
  helper: HelperPlace,
  runtimeDir: string,
  pump: Pump,
  keeper: AdapterKeeper | undefined,
  clock: Clock,
  log: ProgramLog,
): UsbipHost {
  return new UsbipHost({
    pump,
    keeper,
    clock,
    log,
    namesFile: join(runtimeDir, NAMES_FILE),
    attach: (request) => attachDevice({ ...helper, request: { speed: 'any', ...request } }),
    announce: () => announceNames(helper),
    isDriverless: (serial) => isDriverless(serial),
  });
}

function sayStart(log: ProgramLog, what: string, before: KeptDaemon | undefined): void {
  const version = packageVersion();
  if (!before) {
    log.log('info', `ttynpd ${version} runs: ${what}`, { event: 'cold-start' });
    return;
  }
  const how = before.handedOver ? 'a restart' : 'the end of a daemon that did not hand over';
  log.log(before.handedOver ? 'info' : 'warn', `ttynpd ${version} goes on after ${how}: ${what}`, {
    event: 'warm-start',
  });
  if (before.version === version) return;
  log.log('info', `the program is ${version} now, it was ${before.version}`, { event: 'program-upgraded' });
}

/** Returns at SIGTERM or SIGINT; SIGHUP reloads. A service manager's SIGTERM that follows either changes nothing. */
function untilStopped(supervisor: Supervisor, manager: ServiceManager, log: ProgramLog): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    const reload = () => {
      manager.reloading();
      supervisor
        .reload()
        .catch((error: unknown) => log.log('error', `reload: ${messageOf(error)}`))
        .finally(() => manager.ready());
    };
    const stop = (signal: NodeJS.Signals) => {
      process.off('SIGHUP', reload);
      process.off('SIGTERM', stop);
      process.off('SIGINT', stop);
      // A reload, or another SIGTERM of the service manager's, must not end in the middle what ends already.
      process.on('SIGHUP', () => {});
      if (process.env.NOTIFY_SOCKET) process.on('SIGTERM', () => {});
      resolve(signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM');
    };
    process.on('SIGHUP', reload);
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

function load(configFile: string): { config: ResolvedConfig } | { errors: readonly string[] } {
  try {
    return loadConfig(configFile);
  } catch (error) {
    return { errors: error instanceof ConfigFault ? error.errors : [messageOf(error)] };
  }
}

function logOptions(config: ResolvedConfig, options: DaemonOptions) {
  const { file, maxSizeBytes, maxFiles } = config.log;
  const journal = config.log.journal ?? (file === null && isJournalStream(process.env.JOURNAL_STREAM, 2));
  return {
    level: options.logLevel ?? config.log.level,
    format: options.logFormat ?? config.log.format,
    colour: mayColour(process.stderr.isTTY, process.env.NO_COLOR),
    ...(journal ? { journal: JOURNAL_SOCKET } : {}),
    ...(file === null ? {} : { file: { path: file, maxSizeBytes, maxFiles } }),
  };
}

function prepareRuntimeDir(dir: string): void {
  try {
    makeDirectory(dir);
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const hint = 'set runtimeDir to a directory that this user may write';
    throw new Fault('PERMISSION', `runtimeDir ${dir}: ${messageOf(cause)}: ${hint}`, { cause });
  }
}

/** As mkdir -p. Not mkdir's own `recursive`, which never returns below /proc on Node 20. */
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return;
  if (dirname(dir) !== dir) makeDirectory(dirname(dir));
  mkdirSync(dir, { mode: 0o755 });
}

function addressOf({ servers }: ResolvedConfig, name: string): string | undefined {
  return servers.find((server) => server.name === name)?.address;
}

/** What a reload took out of the configuration listens until the next start, and admits nobody. */
function admitsTo(
  listener: { readonly accessibleIps: ConstructorParameters<typeof AccessList>[0] } | null,
  address: string,
) {
  return listener !== null && new AccessList(listener.accessibleIps).admits(address);
}

function statusLine(supervisor: Supervisor): string {
  const { ports, up, open, failed, withoutDevice } = supervisor.status();
  const trouble = `${failed > 0 ? `, ${failed} failed` : ''}${withoutDevice > 0 ? `, ${withoutDevice} wait for their device` : ''}`;
  // The first line comes before they have been tried.
  const offered = supervisor.config.serialPorts.filter(({ served }) => served.mode !== 'disabled');
  const waiting = supervisor.serialPorts().filter(({ reason }) => reason !== null).length;
  const served =
    offered.length === 0 ? '' : `, ${offered.length} serial ports offered${waiting > 0 ? ` (${waiting} wait)` : ''}`;
  return `${ports} ports, ${open} open, ${up} connected${trouble}${served}`;
}
