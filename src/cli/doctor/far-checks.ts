// The far half of `doctor TTY`: name, route, the two TCP ports told apart, PORT_INIT. Pure judgement: from what the probe
// saw where there was one, else from what the daemon's session knows. Follows docs/protocol/realcom.md sections 1.3 to 1.5.
import type { PortView, ProblemView } from '../../api/types.js';
import { type Check, failed, notChecked, ok } from './check.js';
import { BUSY_HINT, connectCheck, placeOf } from './connect-check.js';
import type { PortFacts, ProbeFacts, Target } from './facts.js';
import { singleChecks } from './single-checks.js';

export function farChecks(facts: PortFacts): Check[] {
  const { probe, target } = facts;
  const realCom = () => (typeof probe === 'object' ? probeChecks(target, probe) : sessionChecks(facts));
  const connection = target.protocol === 'realcom' ? realCom() : singleChecks(facts);
  const refusal = typeof probe === 'string' ? [notChecked('probe', probe)] : [];
  return [nameCheck(facts), routeCheck(facts), ...refusal, ...connection];
}

function nameCheck({ name, target }: PortFacts): Check {
  switch (name.result) {
    case 'numeric':
      return ok('name', `${target.address} is an address, nothing to resolve`);
    case 'resolved':
      return ok('name', `${target.address} is ${name.addresses.join(', ')} (${name.ms.toFixed(0)} ms)`);
    case 'failed':
      return failed(
        'name',
        `${target.address}: ${name.why}`,
        `try: getent hosts ${target.address}; or write the address into the configuration`,
      );
    default:
      return name satisfies never;
  }
}

const NO_ROUTE_HINT = 'look at: ip route get ADDRESS; is the network interface up, is the address right?';

function routeCheck({ route, view, probe, target }: PortFacts): Check {
  const saw = typeof probe === 'object' ? [probe.command, probe.data].find((c) => c.result === 'no route') : undefined;
  const hint = NO_ROUTE_HINT.replace('ADDRESS', target.address);
  if (saw !== undefined && 'why' in saw) return failed('route', saw.why, hint);
  if (typeof probe !== 'object' && reasonOf(view)?.code === 'PEER_NO_ROUTE')
    return failed('route', reasonOf(view)?.message ?? '', hint);
  if (route === undefined) return notChecked('route', 'without an address there is none to look for');
  if (route.result === 'none') return failed('route', route.why, hint);
  return ok('route', `from ${route.localAddress}`);
}

// What the probe saw.

function probeChecks(target: Target, probe: ProbeFacts): Check[] {
  const commandPlace = placeOf(probe.address, target.commandPort ?? 0);
  const command = connectCheck('command port', commandPlace, probe.command, refusedHint('commandPort'));
  const dataPlace = placeOf(probe.address, target.dataPort);
  const data = connectCheck('data port', dataPlace, probe.data, refusedHint('dataPort'));
  return [command, data, portInitCheck(probe), capabilityNote(probe.portInit.result === 'acknowledged')];
}

function refusedHint(which: string): string {
  return `set the device's operation mode to Real COM; are port number and ${which} right?`;
}

function portInitCheck({ portInit, asked }: ProbeFacts): Check {
  switch (portInit.result) {
    case 'acknowledged': {
      const lines = `CTS ${word(portInit.cts)}, DSR ${word(portInit.dsr)}, DCD ${word(portInit.dcd)}`;
      return ok('PORT_INIT', `${asked} acknowledged in ${portInit.ms.toFixed(1)} ms; ${lines}`);
    }
    case 'refused':
      return failed(
        'PORT_INIT',
        `the device refused ${asked}`,
        'choose a rate and format that the device has, in `format` or in the application',
      );
    case 'mute':
      return failed('PORT_INIT', `connected, but no answer within ${portInit.afterMs} ms`, MUTE_HINT);
    case 'closed':
      return failed(
        'PORT_INIT',
        'the connection was closed before the answer: the port is in use by another host',
        BUSY_HINT,
      );
    case 'not real com': {
      const what = portInit.looksLike === undefined ? '' : `, this looks like ${portInit.looksLike}`;
      return failed('PORT_INIT', `not Real COM${what}: answered ${portInit.bytes}`, NOT_REAL_COM_HINT);
    }
    case 'not tried':
      return notChecked('PORT_INIT', 'needs both connections');
    default:
      return portInit satisfies never;
  }
}

const MUTE_HINT = "set the device's operation mode to Real COM; if it is, restart the port in its web console";
const NOT_REAL_COM_HINT =
  'another service has this TCP port: check address, dataPort, commandPort and the operation mode';

function word(on: boolean): string {
  return on ? 'on' : 'off';
}

/** A device shared by several hosts acknowledges and ignores what it is told (docs/protocol/realcom.md 1.5). */
function capabilityNote(acknowledged: boolean): Check {
  const text = acknowledged
    ? 'acknowledged, but whether the device applies it cannot be seen'
    : 'unknown, nothing was acknowledged';
  return notChecked('applied', text, acknowledged ? 'check that its "max connection" setting is 1' : null);
}

// What the session knows.

const STEPS = ['command port', 'data port', 'PORT_INIT'] as const;

function reasonOf(view: PortView | undefined): ProblemView | null {
  return view?.reason ?? null;
}

/** An old error is no finding of today, but may be the answer. */
function lastErrorText({ lastError }: PortView): string {
  return lastError === null ? '' : `; last error: ${lastError.message} (${lastError.at})`;
}

function sessionChecks(facts: PortFacts): Check[] {
  const { view, target, probe } = facts;
  if (view === undefined)
    return unchecked('no daemon to ask', typeof probe === 'string' ? null : '--probe connects by itself', view);
  if (view.devicePath === '') return unchecked('the tty could not be made', null, view);
  const reason = reasonOf(view);
  // Connecting again says less than what the attempt before has met.
  if (view.peer !== null && (view.state !== 'connecting' || reason === null)) return connectedChecks(target, view);
  if (reason === null) {
    const now = view.state === 'connecting' ? 'the daemon is connecting just now' : 'no application has it open';
    const why = `not connected: ${now}${lastErrorText(view)}`;
    return unchecked(why, 'open the tty, or add --probe', view);
  }
  return [...brokenChecks(target, reason, view), capabilityNote(view.acknowledged !== null)];
}

function unchecked(why: string, hint: string | null, view: PortView | undefined): Check[] {
  return [
    ...STEPS.map((step, i) => (i === 0 ? notChecked(step, why, hint) : notChecked(step, 'see command port'))),
    capabilityNote((view?.acknowledged ?? null) !== null),
  ];
}

function connectedChecks(target: Target, view: PortView): Check[] {
  const peer = view.peer ?? '';
  const host = peer.slice(0, peer.lastIndexOf(':'));
  const commandPlace = `${host}:${view.commandPort ?? target.commandPort}`;
  const trip = view.commandRoundTripMs === null ? '' : `, answers in ${view.commandRoundTripMs.toFixed(1)} ms`;
  return [
    ok('command port', `${commandPlace} connected${trip}`),
    ok('data port', `${peer} connected since ${view.since}`),
    sessionPortInit(view),
    capabilityNote(view.acknowledged !== null),
  ];
}

function sessionPortInit(view: PortView): Check {
  const { refused, acknowledged } = view;
  if (refused !== null) {
    const has = acknowledged === null ? '' : `, and kept ${acknowledged.format}`;
    return failed(
      'PORT_INIT',
      `the device refused ${refused.format}${has}`,
      'choose a rate and format that the device has',
    );
  }
  if (acknowledged === null) return notChecked('PORT_INIT', 'sent, not answered yet');
  return ok('PORT_INIT', `acknowledged ${acknowledged.format}, flow control ${acknowledged.flowControl}`);
}

/** The fault's text begins with the place that it happened at, so the port's number tells the two connections apart. */
function brokenChecks(target: Target, reason: ProblemView, view: PortView): Check[] {
  const atData = reason.message.includes(`:${target.dataPort}:`);
  const [command, data, init] = STEPS;
  const connectFault = (hint: string): Check[] =>
    atData
      ? [
          ok(command, 'accepted the connection'),
          failed(data, reason.message, hint),
          notChecked(init, 'needs both connections'),
        ]
      : [failed(command, reason.message, hint), ...rest('the command port comes first')];
  const rest = (why: string) => [notChecked(data, why), notChecked(init, 'needs both connections')];
  const both = (last: Check) => [ok(command, 'accepts connections'), ok(data, 'accepts connections'), last];
  switch (reason.code) {
    case 'NAME_UNRESOLVED':
      return STEPS.map((step) => notChecked(step, 'there is no address to connect to'));
    case 'PEER_NO_ROUTE':
      return STEPS.map((step) => notChecked(step, 'there is no way to the device'));
    case 'PEER_REFUSED':
      return connectFault(refusedHint(atData ? 'dataPort' : 'commandPort'));
    case 'PEER_TIMEOUT':
      return connectFault('is the device switched on, is its address right, does a firewall drop it? try: ping');
    case 'PEER_BUSY':
      return [failed(command, reason.message, BUSY_HINT), ...rest('the device closed the connection')];
    case 'PEER_MUTE':
      return both(failed(init, reason.message, MUTE_HINT));
    case 'PEER_PROTOCOL':
      return both(failed(init, reason.message, NOT_REAL_COM_HINT));
    case 'PEER_CLOSED':
      return both(
        failed(
          init,
          `${reason.message} (at ${reason.at})`,
          'the device or the network ended it: look at its log and uptime',
        ),
      );
    case 'NO_DESCRIPTORS':
      return [failed(command, reason.message, 'raise LimitNOFILE= of the service'), ...rest('no descriptor for it')];
    default:
      return [
        failed(command, reason.message, `state ${view.state}: see ttynp port ${target.name} and the log`),
        ...rest('see above'),
      ];
  }
}
