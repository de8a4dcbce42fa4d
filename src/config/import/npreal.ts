// npreal2d.cf of Moxa's Linux driver: a line per tty, in columns. Pure: text in, an item per line out.
// Follows docs/protocol/realcom.md, section 9.1. A line with TLS or redundant mode is never taken over as a plain one.
import { type Candidate, emptyLine, type Item, isLinkLocal, linesOf, NO_TLS, tcpPortOf } from './item.js';

const SETTING = /^(ttymajor|calloutmajor)\s*=/i;
/** minor server data command FIFO [SSL] tty callout interface mode [backup]; a line without SSL is of an older driver. */
const LEADING = 5;

export function readNpreal(text: string): Item[] {
  return linesOf(text).map((line, index) => emptyLine(line, index + 1) ?? readLine(line, index + 1));
}

function readLine(text: string, line: number): Item {
  const item = { line, lines: 1, text };
  const trimmed = text.trim();
  if (SETTING.test(trimmed)) return { ...item, outcome: 'skipped', reason: 'a number of the kernel driver' };
  const words = trimmed.split(/\s+/);
  const comment = words.findIndex((word) => word.startsWith('#'));
  const columns = comment < 0 ? words : words.slice(0, comment);
  const bad = (reason: string): Item => ({ ...item, outcome: 'needs a hand', reason });
  const [minor = '', address = '', third = '', fourth = '', fifo = ''] = columns;
  if (!/^\d{1,3}$/.test(minor) || columns.length < 6) return bad('is no line of npreal2d.cf');
  if (columns.length === 6) return readNumbered(item, columns);
  const dataPort = tcpPortOf(third);
  const commandPort = tcpPortOf(fourth);
  if (dataPort === undefined || commandPort === undefined) {
    return bad(`columns 3 and 4 are no TCP port numbers: ${third} ${fourth}`);
  }
  const rest = columns.slice(LEADING);
  const ssl = /^\d+$/.test(rest[0] ?? '') ? rest.shift() : undefined;
  const [name, , zone = '0', mode = '0', backup] = rest;
  if (name === undefined) return bad('has no tty name');
  const problems = [
    ...shapeProblems(columns.length, ssl !== undefined),
    ...(ssl === undefined || ssl === '0' ? [] : [`SSL is on: ${NO_TLS}`]),
    ...modeProblems(mode, backup),
    ...(isLinkLocal(address) && zone === '0' && !address.includes('%') ? ['a fe80:: address needs an interface'] : []),
  ];
  const candidate: Candidate = {
    protocol: 'realcom',
    name,
    address: isLinkLocal(address) && zone !== '0' && !address.includes('%') ? `${address}%${zone}` : address,
    dataPort,
    commandPort,
    fifo: fifo === '1',
  };
  const notes =
    isLinkLocal(address) || zone === '0' ? [] : [`interface ${zone} is for fe80:: addresses only: left out`];
  const reason = [...problems, ...notes].join('; ');
  return {
    ...item,
    outcome: problems.length > 0 ? 'needs a hand' : 'imported',
    name,
    candidate,
    reason: reason === '' ? undefined : reason,
  };
}

/** The driver reads 10 or 11 columns; one without SSL 9 or 10, the oldest 7. Anything else it leaves out itself. */
function shapeProblems(columns: number, hasSsl: boolean): string[] {
  const known = hasSsl ? [10, 11] : [7, 9, 10];
  return known.includes(columns) ? [] : [`has ${columns} columns, where the driver reads ${known.join(' or ')}`];
}

function modeProblems(mode: string, backup: string | undefined): string[] {
  if (mode === '0') return [];
  if (mode !== '1') return [`mode ${mode} is unknown`];
  return [`redundant mode (backup ${backup ?? 'unknown'}): ttynp uses one address`];
}

/**
 * minor server port FIFO tty callout: the oldest layout has the number of the port in place of TCP ports, 949 and 965
 * below them. Which of its columns is the FIFO is a guess, so nobody but the operator can say that it is right.
 */
function readNumbered(item: { line: number; lines: number; text: string }, columns: readonly string[]): Item {
  const [, address = '', third = '', fifo, name = ''] = columns;
  const port = Number(third);
  if (!/^\d{1,2}$/.test(third) || port < 1 || port > 16 || /^\d+$/.test(name)) {
    return { ...item, outcome: 'needs a hand', reason: 'has 6 columns, and is not of the layout with port numbers' };
  }
  return {
    ...item,
    outcome: 'needs a hand',
    name,
    reason: `has 6 columns: an old layout, read as port ${port} with FIFO ${fifo === '1' ? 'on' : 'off'}`,
    candidate: {
      protocol: 'realcom',
      name,
      address,
      dataPort: 949 + port,
      commandPort: 965 + port,
      fifo: fifo === '1',
    },
  };
}
