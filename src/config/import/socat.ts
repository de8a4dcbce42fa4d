// socat command lines, alone or in a script. Pure: text in, items out; runs nothing.
// socat knows one connection, which carries bytes and nothing else: a tty of it is raw TCP.
import { isRate } from '../../serial/format.js';
import {
  type Candidate,
  emptyLine,
  type Item,
  isLinkLocal,
  linesOf,
  NO_TLS,
  nameOfPath,
  SERVED,
  splitOutside,
  tcpPortOf,
} from './item.js';

export const BYTES_ALONE = 'bytes alone, as before: in Real COM mode what a program sets would reach the device too';
const SOCAT = /(?:^|[\s;&|(/=])socat(?=\s)/;
const TCP = /^tcp[46]?(-connect)?$/;
const TLS = /^(openssl|ssl)(-connect)?$/;
const LISTEN = /^(tcp[46]?|openssl|ssl)-(listen|l)$/;
const FILE = /^(file|open|gopen)$/;

export function readSocat(text: string): Item[] {
  const items: Item[] = [];
  const lines = linesOf(text);
  for (let index = 0; index < lines.length; ) {
    const line = index + 1;
    const written = [lines[index++] ?? ''];
    while (written.at(-1)?.endsWith('\\') && index < lines.length) written.push(lines[index++] ?? '');
    const whole = written.map((part) => part.replace(/\\$/, '')).join(' ');
    const item = { line, lines: written.length, text: written.join('\n') };
    const empty = emptyLine(whole, line);
    if (empty !== undefined) items.push({ ...empty, ...item });
    else if (!SOCAT.test(whole)) items.push({ ...item, outcome: 'skipped', reason: 'is no socat command' });
    else items.push({ ...item, ...readCommand(whole) });
  }
  return items;
}

type Finding = Pick<Item, 'outcome' | 'reason' | 'name' | 'candidate' | 'serialPort'>;

function readCommand(command: string): Finding {
  const start = SOCAT.exec(command);
  const after = command.slice((start?.index ?? 0) + (start?.[0].length ?? 0));
  if (SOCAT.test(after)) return hand('holds more than one socat command');
  const words = splitOutside(after.replace(/\s*(&&|\|\||[;&|]).*$/, '').replaceAll('\t', ' '), ' ').filter(
    (word) => word !== '',
  );
  const redirected = words.findIndex((word) => /^\d*[<>]/.test(word));
  const addresses = (redirected < 0 ? words : words.slice(0, redirected))
    .filter((word) => word === '-' || !word.startsWith('-'))
    .slice(-2)
    .map(addressOf);
  const [first, second] = addresses;
  if (first === undefined || second === undefined) return hand('has not two addresses');
  const pty = addresses.find((a) => a.kind === 'pty');
  const far = addresses.find((a) => TCP.test(a.kind) || TLS.test(a.kind));
  if (pty !== undefined && far !== undefined) return ttyOf(pty, far);
  const listener = addresses.find((a) => LISTEN.test(a.kind));
  const device = addresses.find((a) => FILE.test(a.kind) && a.values[0]?.startsWith('/dev/'));
  if (listener !== undefined && device?.values[0] !== undefined) {
    const path = device.values[0];
    return {
      ...hand(SERVED),
      serialPort: {
        device: path,
        mode: 'tcp-server',
        host: undefined,
        tcpPort: tcpPortOf(listener.values[0]),
        format: undefined,
      },
    };
  }
  return hand(`joins ${first.kind} and ${second.kind}: ttynp makes a tty (PTY) of a TCP connection`);
}

function hand(reason: string): Finding {
  return { outcome: 'needs a hand', reason };
}

interface Address {
  /** In lower case. */
  readonly kind: string;
  readonly values: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

function addressOf(word: string): Address {
  const [head = '', ...options] = splitOutside(word.replace(/^(["'])(.*)\1$/, '$2'), ',').map(unquoted);
  const [kind = '', ...values] = head.startsWith('/') ? ['gopen', head] : splitOutside(head, ':');
  return {
    kind: kind.toLowerCase(),
    values,
    options: new Map(
      options.map((option) => {
        const at = option.indexOf('=');
        return at < 0 ? [option, ''] : [option.slice(0, at), unquoted(option.slice(at + 1))];
      }),
    ),
  };
}

function unquoted(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2');
}

function ttyOf(pty: Address, far: Address): Finding {
  const link = pty.options.get('link') ?? pty.options.get('symbolic-link');
  // An IPv6 address without brackets has colons of its own; the port is behind the last one.
  const host = far.values
    .slice(0, -1)
    .join(':')
    .replace(/^\[(.*)\]$/, '$1');
  const dataPort = tcpPortOf(far.values.at(-1));
  if (host === '' || dataPort === undefined) return hand(`${far.values.join(':')} is no HOST:PORT with a number`);
  const zone = far.options.get('interface') ?? far.options.get('if') ?? far.options.get('so-bindtodevice');
  const candidate: Candidate = {
    protocol: 'tcp',
    name: link === undefined ? undefined : nameOfPath(link),
    address: isLinkLocal(host) && !host.includes('%') && zone !== undefined ? `${host}%${zone}` : host,
    dataPort,
    commandPort: undefined,
    fifo: true,
    format: formatOf(pty.options),
  };
  const tls = TLS.test(far.kind);
  const reasons = [
    ...(tls ? [`is a TLS connection: ${NO_TLS}`] : []),
    BYTES_ALONE,
    ...(link === undefined ? ['there is no link=, so the name is new'] : []),
  ];
  return { outcome: tls ? 'needs a hand' : 'imported', reason: reasons.join('; '), name: link, candidate };
}

/** b9600, cs7, parenb, parodd, cstopb; undefined where no rate is said. */
function formatOf(options: ReadonlyMap<string, string>): string | undefined {
  const on = (name: string) => options.has(name) && options.get(name) !== '0';
  const rate = [...options.keys()].map((key) => /^b(\d{2,7})$/.exec(key)?.[1]).find((found) => found !== undefined);
  const baudRate = rate ?? options.get('ispeed') ?? options.get('ospeed');
  if (baudRate === undefined || !/^\d{2,8}$/.test(baudRate) || !isRate(Number(baudRate))) return undefined;
  const bits = ['5', '6', '7'].find((n) => on(`cs${n}`)) ?? '8';
  const parity = on('parenb') ? (on('parodd') ? 'O' : 'E') : 'N';
  return `${baudRate},${bits}${parity}${on('cstopb') ? 2 : 1}`;
}
