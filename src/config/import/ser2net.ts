// ser2net.yaml: connections with an accepter and a connector, both in gensio's notation. Pure: text in, items out.
// ser2net's own role is to serve local serial ports, which becomes a hint; a connection from a pty to the network is a tty
// of ours, of raw TCP or RFC 2217.
import { isMap, isScalar, LineCounter, type Pair, parseDocument } from 'yaml';
import { Fault } from '../../base/fault.js';
import { isRate } from '../../serial/format.js';
import {
  type Candidate,
  emptyLine,
  type Item,
  linesOf,
  NO_TLS,
  nameOfPath,
  SERVED,
  splitOutside,
  tcpPortOf,
} from './item.js';
import { BYTES_ALONE } from './socat.js';

/** Layers of gensio that lie over another one. */
const FILTERS = new Set(
  'telnet ssl certauth keepopen msgdelim trace ratelimit mux perf relpkt script conacc xlt kiss cm108gpio'.split(' '),
);
/** Of those, what changes no byte. */
const TRANSPARENT = new Set(['conacc', 'keepopen', 'trace', 'telnet(rfc2217)']);
const WITHOUT_TTY: Readonly<Record<string, string>> = {
  define: 'a definition; what uses it has its value',
  default: 'a default of ser2net',
  rotator: 'a rotator: ttynp has none',
  led: 'a LED: ttynp has none',
  admin: "ser2net's admin port: ttynp has its control socket",
};

type Finding = Pick<Item, 'outcome' | 'reason' | 'name' | 'candidate' | 'serialPort'>;

/** Throws CONFIG_INVALID where the text is no YAML. */
export function readSer2net(text: string): Item[] {
  const counter = new LineCounter();
  const plain = linesOf(text).join('\n');
  const document = parseDocument(plain, { lineCounter: counter, prettyErrors: false, uniqueKeys: false });
  // ser2net has escapes of its own in its banners.
  const error = document.errors.find((e) => e.code !== 'BAD_DQ_ESCAPE');
  if (error !== undefined) {
    const { line } = counter.linePos(error.pos[0]);
    throw new Fault('CONFIG_INVALID', `line ${line}: not valid YAML: ${error.message}`);
  }
  if (!isMap(document.contents)) throw new Fault('CONFIG_INVALID', 'line 1: a ser2net.yaml is a map of connections');
  const lines = linesOf(plain);
  const items: Item[] = [];
  for (const pair of document.contents.items) {
    const [start, end] = rangeOf(pair);
    const line = counter.linePos(start).line;
    const last = counter.linePos(Math.max(start, plain.slice(0, end).trimEnd().length - 1)).line;
    const own = { line, lines: last - line + 1, text: lines.slice(line - 1, last).join('\n') };
    const value = isScalar(pair.value) || pair.value === null ? undefined : jsOf(pair.value, document);
    items.push({ ...own, ...readPair(String(isScalar(pair.key) ? pair.key.value : pair.key), anchorOf(pair), value) });
  }
  return [...items, ...otherLines(lines, items)].sort((a, b) => a.line - b.line);
}

/** Comments, blank lines, and the marks of a YAML document. */
function otherLines(lines: readonly string[], items: readonly Item[]): Item[] {
  const taken = new Set(items.flatMap((item) => Array.from({ length: item.lines }, (_, i) => item.line + i)));
  return lines.flatMap((text, index): Item[] => {
    const line = index + 1;
    if (taken.has(line)) return [];
    const mark = /^(%|---|\.\.\.)/.test(text);
    const other: Item = {
      outcome: mark ? 'skipped' : 'needs a hand',
      line,
      lines: 1,
      text,
      reason: mark ? 'a mark of YAML' : 'is not understood',
    };
    return [emptyLine(text, line) ?? other];
  });
}

type Node = { readonly range?: readonly [number, number, number] | null | undefined };

function rangeOf(pair: Pair<unknown, unknown>): [number, number] {
  const key = (pair.key as Node | null)?.range;
  const value = (pair.value as Node | null)?.range;
  const start = key?.[0] ?? 0;
  return [start, Math.max(key?.[1] ?? start, value?.[1] ?? start)];
}

function anchorOf(pair: Pair<unknown, unknown>): string | undefined {
  return isMap(pair.value) ? pair.value.anchor : undefined;
}

function jsOf(node: unknown, document: ReturnType<typeof parseDocument>): unknown {
  try {
    return isMap(node) ? node.toJS(document, { maxAliasCount: 1000 }) : undefined;
  } catch {
    return undefined; // an alias of something that is not there: said as a connection that cannot be read
  }
}

function readPair(key: string, anchor: string | undefined, value: unknown): Finding {
  const without = Object.hasOwn(WITHOUT_TTY, key) ? WITHOUT_TTY[key] : undefined;
  if (without !== undefined) return { outcome: 'skipped', reason: without };
  if (key !== 'connection') return hand(`"${key}" is not understood`);
  if (typeof value !== 'object' || value === null) return hand('is a connection that cannot be read');
  const written = (name: string) => {
    const found: unknown = Reflect.get(value, name);
    return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined;
  };
  const accepter = written('accepter');
  const connector = written('connector');
  if (accepter === undefined || connector === undefined) return hand('has no accepter or no connector', anchor);
  const enable: unknown = Reflect.get(value, 'enable');
  const off = enable === false || /^(off|no|false)$/i.test(String(enable)) ? ['is disabled in ser2net'] : [];
  const found = readConnection(gensioOf(accepter), gensioOf(connector), anchor);
  const outcome = off.length > 0 ? 'needs a hand' : found.outcome;
  return { ...found, outcome, reason: [...off, ...(found.reason === undefined ? [] : [found.reason])].join('; ') };
}

function hand(reason: string, name?: string): Finding {
  return { outcome: 'needs a hand', reason, name };
}

interface Gensio {
  readonly filters: readonly string[];
  /** The lowest layer. */
  readonly name: string;
  /** What stands in its brackets. */
  readonly options: string;
  readonly values: readonly string[];
}

function gensioOf(text: string): Gensio {
  const parts = splitOutside(text, ',');
  const filters: string[] = [];
  for (const [index, part] of parts.entries()) {
    const [, name = '', options = ''] = /^([\w-]+)(?:\((.*)\))?$/s.exec(part) ?? [];
    if (FILTERS.has(name)) filters.push(name + (/rfc2217/.test(options) ? '(rfc2217)' : ''));
    else if (name === '') return { filters, name: 'serialdev', options: '', values: parts.slice(index) };
    else return { filters, name, options, values: parts.slice(index + 1) };
  }
  return { filters, name: '', options: '', values: [] };
}

function readConnection(accepter: Gensio, connector: Gensio, anchor: string | undefined): Finding {
  if (connector.name === 'serialdev') return servedPort(accepter, connector, anchor);
  if (connector.name !== 'tcp') return hand(`its connector is ${connector.name}, not a TCP connection`, anchor);
  if (accepter.name !== 'pty') return hand('goes from network to network: there is no tty in it', anchor);
  const [host = '', port] = connector.values;
  const dataPort = tcpPortOf(port);
  if (host === '' || dataPort === undefined) return hand('its connector is no HOST,PORT with a number', anchor);
  const link = /(?:^|,)\s*link=([^,]+)/.exec(accepter.options)?.[1]?.replace(/^(["'])(.*)\1$/, '$2');
  const layers = connector.filters;
  const rfc2217 = layers.includes('telnet(rfc2217)');
  const candidate: Candidate = {
    protocol: rfc2217 ? 'rfc2217' : 'tcp',
    name: link === undefined ? undefined : nameOfPath(link),
    address: host.replace(/^\[(.*)\]$/, '$1'),
    dataPort,
    commandPort: undefined,
    fifo: true,
  };
  const tls = layers.some((f) => f === 'ssl' || f === 'certauth');
  const others = layers.filter((f) => !TRANSPARENT.has(f) && f !== 'ssl' && f !== 'certauth');
  const problems = [
    ...(tls ? [`is a TLS connection: ${NO_TLS}`] : []),
    ...(others.length > 0 ? [`has ${others.join(', ')} over TCP, which ttynp does not`] : []),
  ];
  const notes = [
    ...(rfc2217 ? [] : [BYTES_ALONE]),
    ...(link === undefined ? ['there is no link=, so the name is new'] : []),
  ];
  const outcome = problems.length > 0 ? 'needs a hand' : 'imported';
  return { outcome, reason: [...problems, ...notes].join('; ') || undefined, name: link ?? anchor, candidate };
}

function servedPort(accepter: Gensio, connector: Gensio, anchor: string | undefined): Finding {
  const [device = '?', settings] = connector.values;
  const [, rate, parity = 'n', bits = '8', stop = '1'] = /^(\d+)([nemos])?([5-8])?([12])?$/i.exec(settings ?? '') ?? [];
  const [first, second] = accepter.values;
  const tls = accepter.filters.some((f) => f === 'ssl' || f === 'certauth') ? '; clients reach it by TLS now' : '';
  return {
    ...hand(`${SERVED}${tls}`, anchor ?? device),
    serialPort: {
      device,
      mode: accepter.filters.some((f) => f === 'telnet(rfc2217)') ? 'rfc2217' : 'tcp-server',
      host: second === undefined ? undefined : first,
      tcpPort: tcpPortOf(second ?? first ?? ''),
      format: rate === undefined || !isRate(Number(rate)) ? undefined : `${rate},${bits}${parity.toUpperCase()}${stop}`,
    },
  };
}
