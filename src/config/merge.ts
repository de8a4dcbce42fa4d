// The entries of all files laid over each other: built-in values < defaults.tty < defaults.server < server < tty.
// A server with `firstTty` makes one tty per port. An entry of `ttys:` with a generated name changes that tty; one with
// a name of its own takes its port over, and the generated name for that port is not made.
import { applyFormat } from '../serial/format.js';
import { type PortBases, portNumbers, singlePortNumber } from '../serial/port-numbers.js';
import { checkNames, checkPortNumbers } from './check.js';
import { type AnyFile, placeOf, type ServerEntry, type TtyEntry } from './entries.js';
import { type Problems, suggestion } from './problems.js';
import type { Protocol, ResolvedTty, Source } from './resolved.js';
import type { ConfigValue, LineOptions, TtyValue } from './schema.js';

type Defaults = ConfigValue['defaults'];
export function mergeServers(
  files: readonly AnyFile[],
  defaults: Defaults,
  problems: Problems,
): Map<string, ServerEntry> {
  const entries = new Map<string, ServerEntry>();
  for (const file of files) {
    for (const name of writtenKeys(file.raw, 'servers')) {
      const path = ['servers', name];
      const earlier = entries.get(name);
      if (earlier !== undefined) {
        problems.add(file.file, file.lineOf(path), path, `is already in ${placeOf(earlier)}`);
        continue;
      }
      entries.set(name, serverEntry(name, file, path, defaults, problems));
    }
  }
  return entries;
}

function serverEntry(name: string, file: AnyFile, path: string[], defaults: Defaults, problems: Problems): ServerEntry {
  const written = ownValue(file.value?.servers, name);
  if (written === undefined) return { name, file, path, value: undefined, resolved: undefined };
  const value = { ...defined(defaults?.server ?? {}), ...defined(written) };
  const at = (...keys: string[]) => [...path, ...keys];
  const ports = value.ports ?? null;
  if (value.firstTty !== undefined && ports === null && !wasWritten(file, at('ports'))) {
    problems.add(file.file, file.lineOf(path), at('ports'), 'is missing: firstTty needs to know how many ttys to make');
  }
  const protocol = value.protocol ?? 'realcom';
  for (const key of ['commandPort', 'ipv6Preamble'] as const) {
    const foreign = protocol !== 'realcom' && written[key] !== undefined;
    if (foreign) problems.add(file.file, file.lineOf(at(key)), at(key), onlyRealCom(protocol));
  }
  if (protocol !== 'udp' && written.localPort !== undefined)
    problems.add(file.file, file.lineOf(at('localPort')), at('localPort'), onlyUdp(protocol));
  return {
    name,
    file,
    path,
    value,
    resolved: {
      name,
      address: written.address,
      protocol,
      ipv6Preamble: value.ipv6Preamble ?? 'auto',
      ports,
      firstTty: value.firstTty ?? null,
      source: sourceOf(file, path),
    },
  };
}

const onlyRealCom = (protocol: Protocol): string =>
  `is of protocol realcom only: ${protocol} has one connection, to dataPort`;
const onlyUdp = (protocol: Protocol): string =>
  `is of protocol udp only: ${protocol} connects from any free port of this machine`;

interface Generated {
  readonly server: ServerEntry;
  readonly port: number;
}

export function mergeTtys(
  files: readonly AnyFile[],
  servers: ReadonlyMap<string, ServerEntry>,
  defaults: TtyDefaults,
  problems: Problems,
): ResolvedTty[] {
  const generated = generateNames(servers, problems);
  const explicit = new Map<string, TtyEntry>();
  const written = new Map<string, { file: AnyFile; path: string[] }>();
  for (const file of files) {
    for (const name of writtenKeys(file.raw, 'ttys')) {
      const path = ['ttys', name];
      const earlier = written.get(name);
      if (earlier !== undefined) {
        problems.add(file.file, file.lineOf(path), path, `is already in ${placeOf(earlier)}`);
        continue;
      }
      written.set(name, { file, path });
      const entry = explicitTty(name, file, path, { servers, generated, defaults, problems });
      if (entry !== undefined) explicit.set(name, entry);
    }
  }
  const takenOver = new Set<string>();
  for (const [name, { tty }] of explicit) if (!generated.has(name)) takenOver.add(`${tty.serverName} ${tty.port}`);
  const entries: TtyEntry[] = [];
  for (const [name, { server, port }] of generated) {
    const own = explicit.get(name);
    if (own !== undefined) entries.push(own);
    else if (!written.has(name) && !takenOver.has(`${server.name} ${port}`)) {
      const tty = resolveTty(name, server, port, {}, defaults, sourceOf(server.file, server.path));
      if (tty !== undefined) entries.push({ tty, file: server.file, path: server.path, explicit: false });
    }
  }
  for (const [name, entry] of explicit) if (!generated.has(name)) entries.push(entry);
  checkNames(entries, problems);
  checkPortNumbers(entries, problems);
  return entries.map((entry) => entry.tty);
}

function generateNames(servers: ReadonlyMap<string, ServerEntry>, problems: Problems): Map<string, Generated> {
  const names = new Map<string, Generated>();
  for (const server of servers.values()) {
    const first = server.value?.firstTty;
    if (first === undefined) continue;
    const ports = server.value?.ports ?? 0;
    let clash =
      generatedName(first, 2) === undefined && ports > 1
        ? `must end with a number to count up from: ${ports} ttys are made`
        : undefined;
    for (let port = 1; port <= ports; port++) {
      const name = generatedName(first, port);
      if (name === undefined) break;
      const other = names.get(name);
      if (other === undefined) names.set(name, { server, port });
      else
        clash ??= `makes ${name}, which is port ${other.port} of ${other.server.name} (${placeOf(other.server)}) already`;
    }
    const path = [...server.path, 'firstTty'];
    if (clash !== undefined) problems.add(server.file.file, server.file.lineOf(path), path, clash);
  }
  return names;
}

/** The tty of a port, counted up from the first one's; without a number there is one name, for the first port. */
export function generatedName(first: string, port: number): string | undefined {
  const digits = /\d+$/.exec(first)?.[0];
  if (digits === undefined) return port === 1 ? first : undefined;
  const count = String(BigInt(digits) + BigInt(port - 1)).padStart(digits.length, '0');
  return first.slice(0, first.length - digits.length) + count;
}

type TtyDefaults = LineOptions & { server?: string | undefined };

interface Context {
  readonly servers: ReadonlyMap<string, ServerEntry>;
  readonly generated: ReadonlyMap<string, Generated>;
  readonly defaults: TtyDefaults;
  readonly problems: Problems;
}

function explicitTty(name: string, file: AnyFile, path: string[], context: Context): TtyEntry | undefined {
  const value = ownValue(file.value?.ttys, name);
  if (value === undefined) return undefined;
  const report = (key: string, text: string) =>
    context.problems.add(file.file, file.lineOf([...path, key]), [...path, key], text);
  const made = context.generated.get(name);
  const serverName = value.server ?? made?.server.name ?? context.defaults.server;
  if (serverName === undefined) {
    if (!wasWritten(file, [...path, 'server'])) report('server', `is missing: no server makes a tty ${name}`);
    return undefined;
  }
  const server = context.servers.get(serverName);
  if (server === undefined) {
    report('server', `unknown server "${serverName}"${suggestion(serverName, context.servers.keys())}`);
    return undefined;
  }
  if (made !== undefined && made.server !== server) {
    report('server', `the name is taken: it is port ${made.port} of ${made.server.name} (${placeOf(made.server)})`);
    return undefined;
  }
  const port = value.port ?? made?.port;
  if (port === undefined) {
    if (!wasWritten(file, [...path, 'port'])) report('port', `is missing: which port of ${serverName}?`);
    return undefined;
  }
  const ports = server.value?.ports;
  if (ports !== undefined && port > ports)
    report('port', `${serverName} has ${ports} port${ports === 1 ? '' : 's'}, got ${port}`);
  const tty = resolveTty(name, server, port, value, context.defaults, sourceOf(file, path));
  if (tty !== undefined && tty.protocol !== 'realcom' && value.commandPort !== undefined)
    report('commandPort', onlyRealCom(tty.protocol));
  if (tty !== undefined && tty.protocol !== 'udp' && value.localPort !== undefined)
    report('localPort', onlyUdp(tty.protocol));
  return tty === undefined ? undefined : { tty, file, path, explicit: true };
}

function resolveTty(
  name: string,
  server: ServerEntry,
  port: number,
  own: TtyValue,
  defaults: TtyDefaults,
  source: Source,
): ResolvedTty | undefined {
  const { value, resolved } = server;
  if (value === undefined || resolved === undefined) return undefined;
  const options: LineOptions = { ...defined(defaults), ...defined(value), ...defined(own) };
  const format = { ...defaults.format, ...value.format, ...own.format };
  const protocol = own.protocol ?? resolved.protocol;
  // What the server says of its ports is said of its own protocol.
  const said = protocol === resolved.protocol ? value : {};
  const numbers = numbersOf(protocol, port, said);
  return {
    name,
    aliases: own.alias ?? [],
    serverName: server.name,
    address: resolved.address,
    protocol,
    ipv6Preamble: resolved.ipv6Preamble,
    port,
    dataPort: own.dataPort ?? numbers.dataPort,
    commandPort: protocol === 'realcom' ? (own.commandPort ?? numbers.commandPort) : null,
    localPort: protocol === 'udp' ? (own.localPort ?? countedFrom(said.localPort, port)) : 0,
    settings: applyFormat(format),
    formatFixed: { dataBits: format.dataBits !== undefined, parity: format.parity !== undefined },
    lines: { dtr: options.dtr ?? true, rts: options.rts ?? true },
    policy: {
      connect: options.connect ?? 'on-open',
      connectTimeoutMs: options.connectTimeout ?? 10_000,
      closingWaitMs: options.closingWait ?? 30_000,
      disconnectDelayMs: options.disconnectDelay ?? 500,
      onLinkLoss: options.onLinkLoss ?? 'keep',
      offlineData: options.offlineData ?? 'discard',
      holdTimeMs: options.holdTime ?? 2_000,
      offlineOpen: options.offlineOpen ?? 'succeed',
    },
    owner: options.owner ?? null,
    group: options.group ?? null,
    mode: options.mode ?? 0o660,
    fifoBytes: (options.fifo ?? true) ? 16 : 1,
    backend: options.backend ?? 'auto',
    needs: options.needs ?? [],
    source,
  };
}

function numbersOf(protocol: Protocol, port: number, bases: PortBases) {
  if (protocol === 'realcom') return portNumbers(port, bases);
  return { dataPort: singlePortNumber(port, bases.dataPort), commandPort: null };
}

const countedFrom = (first: number | undefined, port: number): number => (first === undefined ? 0 : first + port - 1);

/** Without the keys that hold undefined, which would otherwise lie over a value of a lower layer. */
function defined<T extends object>(value: T): T {
  const copy = { ...value };
  for (const key of Object.keys(copy)) if (Reflect.get(copy, key) === undefined) Reflect.deleteProperty(copy, key);
  return copy;
}

function writtenKeys(raw: unknown, section: string): string[] {
  if (typeof raw !== 'object' || raw === null) return [];
  const map: unknown = Reflect.get(raw, section);
  return typeof map === 'object' && map !== null && !Array.isArray(map) ? Object.keys(map) : [];
}

function wasWritten(file: AnyFile, path: readonly string[]): boolean {
  let at: unknown = file.raw;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false;
    at = Reflect.get(at, key);
  }
  return true;
}

function sourceOf(file: AnyFile, path: readonly string[]): Source {
  return { file: file.file, line: file.lineOf(path) };
}

/** Not `map[name]`: a name is the operator's, and may be that of something every object inherits. */
function ownValue<T>(map: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined;
}
