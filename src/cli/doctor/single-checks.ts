// The far half of `doctor TTY` where a port has one TCP connection: RFC 2217 and raw TCP. Pure judgement, from what a probe
// saw where there was one, else from what the daemon's session knows. Follows docs/protocol/rfc2217.md.
import type { PortView, ProblemView } from '../../api/types.js';
import { type Check, failed, notChecked, ok } from './check.js';
import { BUSY_HINT, connectCheck, placeOf } from './connect-check.js';
import type { PortFacts } from './facts.js';

const PORT = 'data port';
const SPEAKS = 'RFC 2217';
const MODE_HINT = "set the port's operation mode to TCP Server, or to RFC 2217; are port number and dataPort right?";
const NO_RFC2217_HINT = 'is it set to RFC 2217 there? a port that only carries bytes is protocol: tcp';

export function singleChecks({ target, view, probe }: Pick<PortFacts, 'target' | 'view' | 'probe'>): Check[] {
  if (target.protocol === 'udp') return datagramChecks(view, probe);
  const rfc2217 = target.protocol === 'rfc2217';
  const second = (check: Check): Check => (rfc2217 ? check : settingsNote(view));
  if (typeof probe === 'object') {
    const seen = connectCheck(PORT, placeOf(probe.address, target.dataPort), probe.data, MODE_HINT);
    return [seen, second(notChecked(SPEAKS, 'the probe only connects; open the tty to see more'))];
  }
  if (view === undefined) {
    const hint = typeof probe === 'string' ? null : '--probe connects by itself';
    return [notChecked(PORT, 'no daemon to ask', hint), second(notChecked(SPEAKS, 'see data port'))];
  }
  if (view.peer !== null)
    return [ok(PORT, `${view.peer} connected since ${view.since}`), second(acknowledgedCheck(view))];
  if (view.reason !== null) return brokenChecks(view.reason, second);
  const now = view.state === 'connecting' ? 'the daemon is connecting just now' : 'no application has it open';
  const last = view.lastError === null ? '' : `; last error: ${view.lastError.message} (${view.lastError.at})`;
  const unknown = notChecked(PORT, `not connected: ${now}${last}`, 'open the tty, or add --probe');
  return [unknown, second(notChecked(SPEAKS, 'see data port'))];
}

/** Nothing that is sent tells whether anybody hears it. */
function datagramChecks(view: PortView | undefined, probe: PortFacts['probe']): Check[] {
  const step = 'datagrams';
  const unseen = 'UDP has no connection: whether anybody is there only an answer tells';
  if (view === undefined) return [notChecked(step, typeof probe === 'string' ? unseen : 'no daemon to ask')];
  if (view.peer === null) return [notChecked(step, 'no application has it open', 'open the tty')];
  const { sent, received } = view;
  if (received.bytes > 0) return [ok(step, `${view.peer}: ${sent.bytes} bytes sent, ${received.bytes} received`)];
  return [notChecked(step, `${view.peer}: ${sent.bytes} bytes sent, none received; ${unseen}`)];
}

function acknowledgedCheck({ acknowledged, refused, commandRoundTripMs }: PortView): Check {
  if (refused !== null) {
    const has = acknowledged === null ? '' : `, and has ${acknowledged.format}`;
    return failed(SPEAKS, `the server refused ${refused.format}${has}`, 'choose a rate and format that the port has');
  }
  if (acknowledged === null) return notChecked(SPEAKS, 'agreed, no settings acknowledged yet');
  const trip = commandRoundTripMs === null ? '' : `, answers in ${commandRoundTripMs.toFixed(1)} ms`;
  return ok(SPEAKS, `acknowledged ${acknowledged.format}, flow control ${acknowledged.flowControl}${trip}`);
}

function settingsNote(view: PortView | undefined): Check {
  const asked = view === undefined ? '' : `, here: ${view.asked.format}`;
  return notChecked('settings', `raw TCP tells none: the port has its own${asked}`, 'compare with its web console');
}

function brokenChecks(reason: ProblemView, second: (check: Check) => Check): Check[] {
  const unseen = second(notChecked(SPEAKS, 'needs the connection'));
  switch (reason.code) {
    case 'NAME_UNRESOLVED':
      return [notChecked(PORT, 'there is no address to connect to'), unseen];
    case 'PEER_NO_ROUTE':
      return [notChecked(PORT, 'there is no way to the server'), unseen];
    case 'PEER_REFUSED':
      return [failed(PORT, reason.message, MODE_HINT), unseen];
    case 'PEER_BUSY':
      return [failed(PORT, reason.message, BUSY_HINT), unseen];
    case 'PEER_MUTE':
    case 'PEER_PROTOCOL':
      return [ok(PORT, 'accepts connections'), failed(SPEAKS, reason.message, NO_RFC2217_HINT)];
    default:
      return [
        failed(PORT, `${reason.message} (at ${reason.at})`, 'is it switched on? see the log, here and there'),
        unseen,
      ];
  }
}
