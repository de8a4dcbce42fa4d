// What came of a served port's use: its clients, errors on its line, hosts that were not let in. Pure judgement of what the
// running daemon has counted; without one there is nothing to judge.
import type { SerialPortView } from '../../api/types.js';
import { bytesText } from '../text.js';
import { type Check, failed, notChecked, ok } from './check.js';

const STEPS = ['clients', 'line errors', 'refused hosts'] as const;

/** @param later a second after `view`, where that had line errors */
export function useChecks(view: SerialPortView | undefined, later: SerialPortView | undefined): Check[] {
  if (view === undefined) return STEPS.map((step) => notChecked(step, 'known to a running daemon only'));
  return [clientCheck(view), errorCheck(view, later), refusedCheck(view)];
}

function clientCheck({ clients, transmitted, received, connects }: SerialPortView): Check {
  const step = 'clients';
  const line = `line: ${silence(received)} from the device, ${silence(transmitted)} to it`;
  if (clients.length === 0) {
    const before = connects === 0 ? 'none yet' : `none now; ${connects} connections so far`;
    return ok(step, `${before}; ${line}`);
  }
  const list = clients.map(({ address, since, received: from, sent, dropped }) => {
    const lost = dropped > 0 ? `, ${bytesText(dropped)} dropped` : '';
    return `${address} since ${since} (${bytesText(from)} from it, ${bytesText(sent)} to it${lost})`;
  });
  const text = `${list.join(', ')}; ${line}`;
  const slow = clients.find(({ dropped }) => dropped > 0);
  if (slow !== undefined)
    return failed(
      step,
      text,
      `${slow.address} does not read fast enough; ignoreJammedIp: off holds up the line instead`,
    );
  const isUnanswered = transmitted.bytes > 0 && received.bytes === 0;
  return ok(step, text, isUnanswered ? 'nothing comes back: wiring, device address, rate, parity' : null);
}

function silence({ bytes, lastByteAgeMs }: SerialPortView['received']): string {
  if (lastByteAgeMs === null) return 'nothing';
  const s = Math.round(lastByteAgeMs / 1000);
  const age = s < 1 ? 'just now' : s < 120 ? `${s} s ago` : s < 7200 ? `${Math.round(s / 60)} min ago` : hours(s);
  return `${bytesText(bytes)} bytes (last ${age})`;
}

const hours = (s: number): string => `${Math.round(s / 3600)} h ago`;

const KINDS = ['framing', 'parity', 'overrun'] as const;

const CAUSES: Readonly<Record<(typeof KINDS)[number], string>> = {
  framing: "the device's rate or stop bits are other ones",
  parity: "the device's parity or data bits are other ones",
  overrun: 'characters were lost in the UART: a lower rate, or RTS/CTS',
};

function errorCheck({ lineErrors, settings }: SerialPortView, later: SerialPortView | undefined): Check {
  const step = 'line errors';
  const present = KINDS.filter((kind) => lineErrors[kind] > 0);
  const breaks = lineErrors.breaks > 0 ? `; ${lineErrors.breaks} breaks` : '';
  const [first] = present;
  if (first === undefined) return ok(step, `none${breaks}`);
  const text = `${present.map((kind) => `${kind} ${lineErrors[kind]}`).join(', ')}${breaks}`;
  const hint = `${CAUSES[first]}; here: ${settings.format}`;
  if (later === undefined) return ok(step, text, hint);
  const more = KINDS.reduce((sum, kind) => sum + Math.max(0, later.lineErrors[kind] - lineErrors[kind]), 0);
  if (more > 0) return failed(step, `${text}, and ${more} more within a second`, hint);
  return ok(step, `${text}, not rising at present`, hint);
}

function refusedCheck({ refused, malformed, mode }: SerialPortView): Check {
  const step = 'refused hosts';
  const strange = malformed > 0 ? `; ${malformed} times a client sent what ${mode} does not have` : '';
  const text = `busy ${refused.busy}, not in accessibleIps ${refused.denied}${strange}`;
  const hints = [
    ...(refused.denied > 0 ? ['the log names the hosts; if one is yours: accessibleIps'] : []),
    ...(refused.busy > 0
      ? [`all places were taken${mode === 'rfc2217' ? '; this mode has one' : ': maxConnection gives up to 8'}`]
      : []),
    ...(malformed > 0 ? ['does the client speak the mode of this port?'] : []),
  ];
  return ok(step, text, hints.length > 0 ? hints.join('; ') : null);
}
