// One port of the driver as a client of the control API sees it. Reads, never changes.
import type { ChoiceView, PortView, ServerView, SettingsView } from '../api/types.js';
import type { ResolvedTty } from '../config/resolved.js';
import type { Session } from '../driver/session.js';
import { formatFlowControl, formatSettings } from '../serial/format.js';
import type { LineSettings } from '../serial/line.js';
import { protocolLimits } from './backend/needs.js';

export function settingsView(settings: LineSettings): SettingsView {
  return { format: formatSettings(settings), flowControl: formatFlowControl(settings.flowControl) };
}

function age(nowMs: number, lastMs: number): number | null {
  return lastMs > 0 ? Math.max(0, Math.round(nowMs - lastMs)) : null;
}

/** What the configuration alone tells; what runs lays itself over it. */
function configured(config: ResolvedTty) {
  return {
    name: config.name,
    aliases: [...config.aliases],
    server: config.serverName,
    port: config.port,
    protocol: config.protocol,
    address: config.address,
    dataPort: config.dataPort,
    commandPort: config.commandPort,
    policy: {
      connect: config.policy.connect,
      onLinkLoss: config.policy.onLinkLoss,
      offlineData: config.policy.offlineData,
      offlineOpen: config.policy.offlineOpen,
    },
  };
}

/** udev gives a kernel tty its group and mode; its owner stays root. */
function ownerLimit({ owner }: ResolvedTty, backend: string): string[] {
  return owner !== null && backend === 'usbip' ? [`owner: ${owner} does not apply: use group and mode`] : [];
}

/** A port that could not be made: it says why, and nothing else. */
export function failedPortView(
  config: ResolvedTty,
  path: string,
  choice: ChoiceView,
  problem: { code: string; message: string; at: string },
): PortView {
  const nothing = { bytes: 0, lastByteAgeMs: null, parkedBytes: 0, stalls: 0 };
  return {
    ...configured(config),
    path,
    devicePath: '',
    state: 'failed',
    since: problem.at,
    reason: problem,
    open: false,
    peer: null,
    backend: 'none',
    backendChoice: choice,
    limits: [],
    asked: settingsView(config.settings),
    acknowledged: null,
    refused: null,
    lines: { dtr: false, rts: false, cts: null, dsr: null, dcd: null, ri: null },
    lineErrors: { parity: 0, framing: 0, overrun: 0, breaks: 0 },
    sent: nothing,
    received: nothing,
    drops: { offline: 0, held: 0, flushed: 0, closing: 0, linkLost: 0, unread: 0, stale: 0, suspected: 0 },
    connects: 0,
    commandRoundTripMs: null,
    warnings: [],
    lastError: problem,
  };
}

/** @param nowMs CLOCK_MONOTONIC, as the pump's counters */
export function portView(config: ResolvedTty, session: Session, choice: ChoiceView, nowMs: number): PortView {
  const { tty, record } = session;
  const { counters } = tty.channel;
  const totals = record.totals;
  return {
    ...configured(config),
    path: tty.path,
    devicePath: tty.devicePath,
    state: record.state,
    since: record.since,
    reason: record.reason,
    open: tty.isOpen,
    peer: record.peer ?? null,
    backend: tty.capabilities.backend,
    backendChoice: choice,
    limits: [
      ...tty.capabilities.limits,
      ...ownerLimit(config, tty.capabilities.backend),
      ...protocolLimits(config.protocol),
    ],
    asked: settingsView(tty.settings),
    acknowledged: record.acknowledged ? settingsView(record.acknowledged) : null,
    refused: record.refused ? settingsView(record.refused) : null,
    lines: record.lines(session.outputLines),
    lineErrors: { ...record.errors },
    sent: {
      bytes: totals.downSent,
      lastByteAgeMs: age(nowMs, counters.lastDownMs),
      parkedBytes: counters.downParked,
      stalls: totals.downStalls,
    },
    received: {
      bytes: totals.upTaken,
      lastByteAgeMs: age(nowMs, counters.lastUpMs),
      parkedBytes: counters.upParked,
      stalls: totals.upStalls,
    },
    drops: record.drops,
    connects: record.connects,
    commandRoundTripMs: session.link?.lastRoundTripMs ?? record.roundTripMs ?? null,
    warnings: [...tty.warnings],
    lastError: record.lastError,
  };
}

const WITHOUT_DEVICE = 'TTY_WAITING';

/** Its backend has made it, and an application cannot open it yet. */
export function withoutDevice(view: PortView, missing: string, since: string): PortView {
  const pty =
    view.backendChoice.by === 'auto'
      ? `ttynp reload --choose-backend ${view.name}`
      : 'set backend: pty, then ttynp reload';
  const message = `${view.name} ${missing}; for a PTY instead: ${pty}`;
  return { ...view, state: 'waiting', since, reason: { code: WITHOUT_DEVICE, message, at: since } };
}

export const isWithoutDevice = (view: PortView): boolean => view.reason?.code === WITHOUT_DEVICE;

/** One server, summed up from its ports. */
export function serverView(
  name: string,
  address: string,
  protocol: string,
  ports: readonly PortView[],
  down: boolean,
): ServerView {
  return {
    name,
    address,
    protocol,
    ports: ports.length,
    up: ports.filter((port) => port.state === 'up' && port.peer !== null).length,
    down,
    reason: down ? (ports.find((port) => port.reason !== null)?.reason ?? null) : null,
  };
}
