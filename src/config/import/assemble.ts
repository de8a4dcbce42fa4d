// From the items of any reader to entries of ours: names, servers by address, ports by the vendor's table. What our
// configuration would refuse needs a hand, so that the rest passes its check. Pure.
import { portNumbers } from '../../serial/port-numbers.js';
import { canonicalAddress } from '../check.js';
import { isAddress, TtySchema } from '../schema.js';
import type { Candidate, Item } from './item.js';

const MAX_PORT = 256;

export interface Entry {
  readonly item: Item;
  readonly candidate: Candidate;
  readonly name: string;
  readonly server: Server;
  /** Of the device server, from 1. */
  port: number;
}

export interface Server {
  readonly name: string;
  readonly address: string;
  /** False where only commented-out entries need it. */
  used: boolean;
}

export interface Assembly {
  /** As the readers found them, with what turned out to need a hand. */
  readonly items: readonly Item[];
  readonly servers: readonly Server[];
  readonly entries: ReadonlyMap<Item, Entry>;
}

export interface Rename {
  readonly stem: string;
  readonly first: number;
}

/** "ttyNP" counts up from 0, "ttyNP16" from 16. Undefined where that is no name for a tty. */
export function renameOf(text: string): Rename | undefined {
  const digits = /\d{1,6}$/.exec(text)?.[0] ?? '';
  const stem = text.slice(0, text.length - digits.length);
  return isTtyName(`${stem}${MAX_PORT}`) ? { stem, first: Number(digits) } : undefined;
}

export function assemble(found: readonly Item[], rename?: Rename): Assembly {
  const names = namesOf(found, rename);
  const taken = new Taken();
  const items = found.map((item): Item => {
    if (item.outcome !== 'imported') return item;
    const problem = taken.problemOf(item, names.get(item) ?? '');
    if (problem === undefined) return item;
    const reason = item.reason === undefined ? problem : `${problem}; ${item.reason}`;
    return { ...item, outcome: 'needs a hand', reason };
  });
  const servers = new Map<string, Server>();
  const serverNames = new Set<string>();
  const entries = new Map<Item, Entry>();
  for (const [index, item] of items.entries()) {
    const before = found[index];
    const name = before === undefined ? undefined : names.get(before);
    const { candidate } = item;
    if (candidate === undefined || name === undefined) continue;
    const server = serverOf(candidate.address, servers, serverNames);
    server.used ||= item.outcome === 'imported';
    entries.set(item, { item, candidate, name, server, port: 0 });
  }
  numberPorts([...entries.values()]);
  return { items, servers: [...servers.values()], entries };
}

/** Whether a tty may be called so. */
function isTtyName(text: string): boolean {
  return TtySchema.shape.alias.safeParse(text).success;
}

function namesOf(items: readonly Item[], rename: Rename | undefined): Map<Item, string> {
  const names = new Map<Item, string>();
  const own = new Set(items.map((item) => item.candidate?.name));
  let next = rename?.first ?? 0;
  for (const item of items) {
    const { candidate } = item;
    if (candidate === undefined) continue;
    if (rename !== undefined) {
      names.set(item, `${rename.stem}${next++}`);
      continue;
    }
    while (candidate.name === undefined && own.has(`ttyNP${next}`)) next++;
    names.set(item, candidate.name ?? `ttyNP${next++}`);
  }
  return names;
}

/** What earlier lines have taken; the first one keeps it, as in the daemon of npreal2. */
class Taken {
  readonly #names = new Map<string, number>();
  readonly #numbers = new Map<string, number>();
  readonly #ports = new Map<string, number>();

  problemOf(item: Item, name: string): string | undefined {
    const { candidate } = item;
    if (candidate === undefined) return 'is no tty';
    const realCom = candidate.protocol === 'realcom';
    if (realCom && candidate.commandPort === undefined) return 'has no command port';
    if (!isTtyName(name)) return `"${name}" is no name for a tty here: letters, digits, dot, underscore, hyphen`;
    if (!isAddress(candidate.address)) return `"${candidate.address}" is no address`;
    const earlier = this.#names.get(name);
    if (earlier !== undefined) return `the name ${name} is taken by line ${earlier}`;
    const { dataPort, commandPort } = candidate;
    if (dataPort === commandPort) return `data and command port are both ${dataPort}`;
    const address = canonicalAddress(candidate.address);
    const own = commandPort === undefined ? [dataPort] : [dataPort, commandPort];
    const numbers = own.map((number) => ({ number, key: `${address} ${number}` }));
    for (const { number, key } of numbers) {
      const line = this.#numbers.get(key);
      if (line !== undefined) return `port ${number} of ${candidate.address} is taken by line ${line}`;
    }
    const count = this.#ports.get(address) ?? 0;
    if (count >= MAX_PORT) return `${candidate.address} has ${MAX_PORT} ports already`;
    this.#ports.set(address, count + 1);
    this.#names.set(name, item.line);
    for (const { key } of numbers) this.#numbers.set(key, item.line);
    return undefined;
  }
}

function serverOf(address: string, servers: Map<string, Server>, names: Set<string>): Server {
  const key = isAddress(address) ? canonicalAddress(address) : address;
  const known = servers.get(key);
  if (known !== undefined) return known;
  const server = { name: serverName(address, names), address, used: false };
  names.add(server.name);
  servers.set(key, server);
  return server;
}

/** A free name for the server at an address: the address itself, in the letters that a name may have. */
export function serverName(address: string, taken: ReadonlySet<string>): string {
  const plain = address
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^-+|[-.]+$/g, '')
    .slice(0, 56);
  const name = plain === '' || plain.startsWith('__') ? 'server' : plain;
  if (!taken.has(name)) return name;
  for (let n = 2; ; n++) if (!taken.has(`${name}-${n}`)) return `${name}-${n}`;
}

/** By the table where the TCP ports are in it, else the next free number. Entries that count choose first. */
function numberPorts(entries: readonly Entry[]): void {
  const used = new Map<Server, Set<number>>();
  const next = new Map<Server, number>();
  const take = (entry: Entry, port: number | undefined) => {
    const ports = used.get(entry.server) ?? new Set();
    used.set(entry.server, ports);
    if (port === undefined || ports.has(port)) return;
    ports.add(port);
    entry.port = port;
  };
  const open = () => entries.filter((entry) => entry.port === 0);
  for (const outcome of ['imported', 'needs a hand']) {
    const own = () => open().filter((entry) => entry.item.outcome === outcome);
    for (const entry of own()) take(entry, tablePort(entry.candidate, true));
    for (const entry of own()) take(entry, tablePort(entry.candidate, false));
    for (const entry of own()) {
      const ports = used.get(entry.server);
      let port = next.get(entry.server) ?? 1;
      while (ports?.has(port)) port++;
      next.set(entry.server, port + 1);
      take(entry, port);
    }
  }
}

/** The port whose numbers these are by the table; `exact`: both of them. */
function tablePort({ dataPort, commandPort }: Candidate, exact: boolean): number | undefined {
  for (let port = 1; port <= MAX_PORT; port++) {
    const numbers = portNumbers(port);
    if (numbers.dataPort === dataPort && (numbers.commandPort === commandPort || !exact)) return port;
  }
  // The numbers of TCP server mode.
  return commandPort === undefined && dataPort > 4000 && dataPort <= 4000 + MAX_PORT ? dataPort - 4000 : undefined;
}
