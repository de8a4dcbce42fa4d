// What two ttys may not share: a name, a port of a server, a TCP port number of an address. Reports, and changes
// nothing. One report per pair of entries, however many ports of theirs collide.
import { isIP } from 'node:net';
import { placeOf, type TtyEntry } from './entries.js';
import type { Problems } from './problems.js';

export function checkNames(entries: readonly TtyEntry[], problems: Problems): void {
  const owner = new Map<string, TtyEntry>();
  for (const entry of entries) owner.set(entry.tty.name, entry);
  for (const entry of entries) {
    for (const alias of entry.tty.aliases) {
      const other = owner.get(alias);
      if (other === undefined) {
        owner.set(alias, entry);
        continue;
      }
      const path = [...entry.path, 'alias'];
      const text =
        other.tty.name === alias
          ? `"${alias}" is the name of a tty`
          : `"${alias}" is an alias of ${other.tty.name} already`;
      problems.add(entry.file.file, entry.file.lineOf(path), path, `${text} (${placeOf(other)})`);
    }
  }
}

export function checkPortNumbers(entries: readonly TtyEntry[], problems: Problems): void {
  const ports = new Map<string, TtyEntry>();
  const numbers = new Map<string, { entry: TtyEntry; kind: 'data' | 'command' }>();
  const local = new Map<number, TtyEntry>();
  const reported = new Set<string>();
  // Explicit entries last: a collision is then reported at what the operator wrote by hand.
  for (const entry of [...entries].sort((a, b) => Number(a.explicit) - Number(b.explicit))) {
    const { tty } = entry;
    const samePort = ports.get(`${tty.serverName} ${tty.port}`);
    if (samePort !== undefined) {
      const path = [...entry.path, 'port'];
      const text = `port ${tty.port} of ${tty.serverName} is ${samePort.tty.name}'s already (${placeOf(samePort)})`;
      problems.add(entry.file.file, entry.file.lineOf(path), path, text);
      continue;
    }
    ports.set(`${tty.serverName} ${tty.port}`, entry);
    checkLocalPort(entry, local, problems);
    for (const kind of ['data', 'command'] as const) {
      const number = kind === 'data' ? tty.dataPort : tty.commandPort;
      if (number === null) continue;
      const key = `${canonicalAddress(tty.address)} ${number}`;
      const taken = numbers.get(key);
      const text = number > 65535 ? 'is above 65535' : taken === undefined ? undefined : collision(entry, taken);
      if (taken === undefined) numbers.set(key, { entry, kind });
      const pair = `${placeOf(entry)} ${taken === undefined ? 'above' : placeOf(taken.entry)}`;
      if (text === undefined || reported.has(pair)) continue;
      reported.add(pair);
      const path = [...entry.path, `${kind}Port`];
      const whose = entry.explicit ? '' : ` of ${tty.name} (port ${tty.port})`;
      problems.add(entry.file.file, entry.file.lineOf(path), path, `${number}${whose} ${text}`);
    }
  }
}

/** Of this machine there is one of each number, whatever the server. */
function checkLocalPort(entry: TtyEntry, taken: Map<number, TtyEntry>, problems: Problems): void {
  const { localPort, name } = entry.tty;
  if (localPort === 0) return;
  const other = taken.get(localPort);
  taken.set(localPort, other ?? entry);
  const text =
    localPort > 65535 ? 'is above 65535' : other && `is that of ${other.tty.name} already (${placeOf(other)})`;
  if (text === undefined) return;
  const path = [...entry.path, 'localPort'];
  problems.add(
    entry.file.file,
    entry.file.lineOf(path),
    path,
    `${localPort}${entry.explicit ? '' : ` of ${name}`} ${text}`,
  );
}

function collision(entry: TtyEntry, taken: { entry: TtyEntry; kind: 'data' | 'command' }): string {
  if (taken.entry === entry) return `is its ${taken.kind} port too`;
  const where = `${taken.entry.tty.name} (port ${taken.entry.tty.port} of ${taken.entry.tty.serverName})`;
  return `is the ${taken.kind} port of ${where} at ${entry.tty.address} already`;
}

/** One spelling per address: case of names, and the many forms of an IPv6 address. */
export function canonicalAddress(address: string): string {
  const [host = '', zone] = address.toLowerCase().split('%');
  const plain = isIP(host) === 6 ? new URL(`http://[${host}]/`).hostname : host.replace(/\.$/, '');
  return zone === undefined ? plain : `${plain}%${zone}`;
}
