// Entries as a configuration file of ours: text that passes its check, with a comment at each entry that says where it
// comes from. What needs a hand is commented out. Pure.
import { isIP } from 'node:net';
import { portNumbers, singlePortNumber } from '../../serial/port-numbers.js';
import type { Assembly, Entry, Server } from './assemble.js';
import type { Candidate, Item } from './item.js';

const PLAIN = /^(?:[A-Za-z_][A-Za-z0-9_.-]*|\d{1,3}(?:\.\d{1,3}){3})$/;
const WORDS = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

/** @param from what is imported, for the first line */
export function render(assembly: Assembly, from: string): string {
  const { items, servers, entries } = assembly;
  const lines = [
    comment('', `From ${from}, by ttynp import. What needs a hand is commented out, and says why.`),
    'version: 1',
  ];
  if (servers.length > 0) lines.push('servers:', ...servers.map(serverLine));
  if (entries.size > 0) lines.push('ttys:');
  for (const item of items) {
    const entry = entries.get(item);
    if (entry !== undefined) lines.push(...ttyLines(entry));
  }
  const rest = items.filter((item) => item.outcome === 'needs a hand' && !entries.has(item));
  const served = rest.filter((item) => item.serialPort !== undefined);
  const unclear = rest.filter((item) => item.serialPort === undefined);
  if (unclear.length > 0) lines.push('', '# Needs a hand:', ...unclear.flatMap(lostLines));
  if (served.length > 0) lines.push('', '# serialPorts:', ...served.flatMap(servedLines));
  return `${lines.join('\n')}\n`;
}

function serverLine(server: Server): string {
  const line = `${scalar(server.name)}: { address: ${scalar(server.address)} }`;
  return server.used ? `  ${line}` : comment('  ', line);
}

function ttyLines(entry: Entry): string[] {
  const { item, candidate, port } = entry;
  const options = [`server: ${scalar(entry.server.name)}`, `port: ${port}`, ...numbersOf(candidate, port)];
  if (!candidate.fifo) options.push('fifo: off');
  if (candidate.format !== undefined) options.push(`format: ${JSON.stringify(candidate.format)}`);
  const line = `${scalar(entry.name)}: { ${options.join(', ')} }`;
  const where = `line ${item.line}${item.reason === undefined ? '' : `: ${item.reason}`}`;
  if (item.outcome === 'imported') return [`  ${line}  ${comment('', where)}`];
  return [comment('  ', `${where}:`), comment('  ', line)];
}

/** What is not by the protocol's own numbering. */
function numbersOf({ protocol, dataPort, commandPort }: Candidate, port: number): string[] {
  if (protocol !== 'realcom') {
    const own = dataPort === singlePortNumber(port) ? [] : [`dataPort: ${dataPort}`];
    return [`protocol: ${protocol}`, ...own];
  }
  const table = portNumbers(port);
  return [
    ...(dataPort === table.dataPort ? [] : [`dataPort: ${dataPort}`]),
    ...(commandPort === undefined || commandPort === table.commandPort ? [] : [`commandPort: ${commandPort}`]),
  ];
}

function lostLines(item: Item): string[] {
  return [
    comment('', `line ${item.line}: ${item.reason ?? 'is not understood'}:`),
    ...item.text.split('\n').map((line) => comment('', `    ${line}`)),
  ];
}

function servedLines(item: Item, index: number): string[] {
  const { serialPort: port } = item;
  if (port === undefined) return [];
  const options = [`device: ${scalar(port.device)}`, `mode: ${port.mode}`];
  // A name is not resolved here; without `listen` it is 127.0.0.1, and nothing listens wider than it did.
  if (port.host === undefined) options.push('listen: 0.0.0.0');
  else if (isIP(port.host) !== 0) options.push(`listen: ${JSON.stringify(port.host)}`);
  if (port.tcpPort !== undefined) options.push(`tcpPort: ${port.tcpPort}`);
  if (port.format !== undefined) options.push(`format: ${JSON.stringify(port.format)}`);
  return [
    comment('', `  line ${item.line}: ${item.reason ?? ''}:`),
    comment('', `  ${index + 1}: { ${options.join(', ')} }`),
  ];
}

function comment(indent: string, text: string): string {
  return `${indent}# ${printable(text)}`.trimEnd();
}

/** On one line, and without what a YAML file may not hold. */
export function printable(text: string): string {
  return text.replaceAll('\t', ' ').replace(/[\p{Cc}\p{Cs}\p{Cn}\p{Co}\u2028\u2029\ufeff]/gu, '?');
}

/** As a key or a value, within braces too. */
function scalar(text: string): string {
  return PLAIN.test(text) && !WORDS.test(text) ? text : JSON.stringify(printable(text));
}
