// The line itself, from what the running session has counted: flow control, line mode, format, errors, traffic, drops.
// Pure judgement; without a daemon there is nothing to judge. See docs/architecture.md, "The way of a line change".
import type { DropsView, PortView } from '../../api/types.js';
import { type Check, failed, notChecked, ok } from './check.js';

const STEPS = ['flow control', 'line mode', 'format', 'line errors', 'traffic', 'drops'] as const;

export function lineChecks(view: PortView | undefined): Check[] {
  if (view === undefined) return STEPS.map((step) => notChecked(step, 'known to a running daemon only'));
  return [flowCheck(view), modeCheck(view), formatCheck(view), errorCheck(view), trafficCheck(view), dropCheck(view)];
}

function flowCheck({ asked, lines, sent }: PortView): Check {
  const flow = asked.flowControl;
  if (!flow.includes('RTS/CTS')) {
    const cts = lines.cts === null ? '' : `; CTS is ${lines.cts ? 'on' : 'off'}, which does not matter`;
    return ok('flow control', `${flow}${cts}`);
  }
  if (lines.cts === null) return notChecked('flow control', `${flow}; the device has not told CTS yet`);
  if (lines.cts) return ok('flow control', `${flow}, CTS is on`);
  const waiting = sent.parkedBytes > 0 ? `, ${sent.parkedBytes} bytes wait` : '';
  return failed(
    'flow control',
    `RTS/CTS is on (CRTSCTS) and CTS is off: the device sends nothing${waiting}`,
    'connect CTS to the far RTS, or switch it off: stty -crtscts, flow control none in the program',
  );
}

function modeCheck({ warnings, open }: PortView): Check {
  if (warnings.length > 0)
    return failed(
      'line mode',
      warnings.join('; '),
      'in the program, set the port raw: stty raw -echo, or its "binary" mode',
    );
  return open
    ? ok('line mode', 'raw, nothing changes the bytes')
    : notChecked('line mode', 'no application has it open');
}

function formatCheck({ asked, acknowledged, refused, lineErrors, protocol }: PortView): Check {
  if (refused !== null)
    return failed('format', `asked for ${refused.format}, refused`, 'choose a rate and format that the device has');
  if (protocol === 'tcp' || protocol === 'udp')
    return notChecked('format', `asked for ${asked.format}; the port has its own`);
  if (acknowledged === null) return notChecked('format', `asked for ${asked.format}, nothing acknowledged yet`);
  if (acknowledged.format !== asked.format) {
    return failed(
      'format',
      `asked for ${asked.format}, the device has ${acknowledged.format}`,
      'reopen the tty; if it stays, see ttynp trace',
    );
  }
  const suspect = lineErrors.parity + lineErrors.framing > 0 ? ', but see line errors' : '';
  return ok('format', `${acknowledged.format} on both sides${suspect}`);
}

function errorCheck({ lineErrors, asked, acknowledged, protocol }: PortView): Check {
  const { parity, framing, overrun, breaks } = lineErrors;
  const counted = Object.entries(lineErrors).flatMap(([name, n]) => (n > 0 ? [`${name} ${n}`] : []));
  const text = counted.join(', ');
  if (protocol === 'tcp' || protocol === 'udp') return notChecked('line errors', 'bytes alone tell none');
  if (acknowledged === null && counted.length === 0)
    return notChecked('line errors', 'no connection yet, so none was told');
  if (framing > 0)
    return failed(
      'line errors',
      text,
      `framing errors: the far device's rate is not ${asked.format.split(',')[0]}, or its stop bits differ`,
    );
  if (parity > 0)
    return failed(
      'line errors',
      text,
      `parity errors: the far device's parity or data bits are not ${asked.format.split(',')[1]}`,
    );
  if (overrun > 0)
    return failed('line errors', text, 'overruns: use RTS/CTS or a lower rate; characters were lost at the device');
  return ok('line errors', breaks > 0 ? `none; ${breaks} breaks received` : 'none');
}

function trafficCheck({ sent, received, state, open }: PortView): Check {
  const text = `sent ${sent.bytes}, received ${received.bytes}`;
  if (sent.bytes > 0 && received.bytes === 0) {
    return failed('traffic', text, 'check wiring, device address, rate or parity (a device that only listens is fine)');
  }
  if (received.bytes > 0) return ok('traffic', `${text}${age(received.lastByteAgeMs)}`);
  if (sent.parkedBytes > 0)
    return failed('traffic', `${text}, ${sent.parkedBytes} bytes wait`, `state ${state}: see the steps above`);
  return notChecked('traffic', text, open ? 'nothing was sent yet' : 'open the tty and send something');
}

function age(ms: number | null): string {
  if (ms === null) return '';
  return ms < 1000 ? ', last byte just now' : `, last byte ${Math.round(ms / 1000)} s ago`;
}

const CAUSES: Readonly<Record<keyof DropsView, readonly [string, string]>> = {
  offline: ['written while disconnected', 'offlineData: hold or block keeps them'],
  held: ['held too many or too long while disconnected', 'raise holdTime, or use offlineData: block'],
  flushed: ['flushed by the application', ''],
  closing: [
    'not transmitted in time after the close',
    'raise closingWait, or look why the device does not send (CTS, XOFF)',
  ],
  linkLost: ['in flight when the connection was lost', 'the network or the device ended the connection: see its log'],
  unread: [
    'from the device while nobody had the tty open',
    'open the tty before the device talks, or use connect: on-open',
  ],
  stale: ['from the device before it was set up again', ''],
  suspected: ['in hand of a daemon that was killed', 'it may have arrived; look in the log why the daemon was killed'],
};

/** What an application threw away itself is no failure, nor what had to be thrown away for its sake. */
const HARMLESS: ReadonlySet<string> = new Set<keyof DropsView>(['flushed', 'unread', 'stale']);

function dropCheck({ drops }: PortView): Check {
  const causes = CAUSE_NAMES.filter((cause) => drops[cause] > 0);
  if (causes.length === 0) return ok('drops', 'none');
  const text = causes.map((cause) => `${drops[cause]} ${CAUSES[cause][0]} (${cause})`).join(', ');
  const serious = causes.find((cause) => !HARMLESS.has(cause));
  if (serious === undefined)
    return ok('drops', text, causes.map((cause) => CAUSES[cause][1]).find((hint) => hint !== '') ?? null);
  return failed('drops', text, CAUSES[serious][1]);
}

const CAUSE_NAMES = [
  'offline',
  'held',
  'closing',
  'linkLost',
  'suspected',
  'flushed',
  'unread',
  'stale',
] as const satisfies readonly (keyof DropsView)[];
