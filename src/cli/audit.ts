// `ttynp audit`: what the configuration opens and connects to, against the guide for hardening serial device servers.
// Needs no daemon and opens nothing. Exit code 0: nothing is against its advice; 1: something is, or the file is wrong.
import type { CommandModule } from 'yargs';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.js';
import { type Audit, auditConfig, type Endpoint, type ServiceRow, type Verdict } from './audit/judge.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';
import { type Cell, type Colour, clean, painter, table } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean };

const COLOURS: Readonly<Record<Verdict, Colour>> = { ok: 'green', note: 'yellow', against: 'red' };

export const auditCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'audit',
  describe: 'Judge what the configuration opens and connects to; exit code 1 where it is against the advice',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  handler: (args) => {
    const file = args.config ?? DEFAULT_CONFIG_FILE;
    const audit = auditConfig(loadConfig(file).config);
    process.exitCode = audit.against > 0 ? 1 : 0;
    io.out(args.json ? `${JSON.stringify(audit, null, 2)}\n` : auditText(file, audit, io.colour));
  },
});

export function auditText(file: string, audit: Audit, colour: boolean): string {
  const paint = painter(colour);
  const head = ['RESULT', 'SERVICE', 'PORT', 'DEFAULT', 'ADVICE', 'HERE'];
  const count = (verdict: Verdict) => audit.endpoints.filter((endpoint) => endpoint.verdict === verdict).length;
  return [
    `${clean(file)}: what it opens and connects to\n\n`,
    table(['RESULT', 'WHAT', 'WHERE', 'NOW', 'WHY'], audit.endpoints.map(endpointRow), paint),
    "\nThe network services of a device server, by the guide's table (as shipped, and what it advises)\n\n",
    table(head, audit.services.map(serviceRow), paint),
    '\nThe operation modes of its serial ports\n\n',
    table(head, audit.modes.map(serviceRow), paint),
    `\n${count('against')} against the advice, ${count('note')} to know, ${count('ok')} ok\n`,
  ].join('');
}

const verdictCell = (verdict: Verdict): Cell => ({ text: verdict, colour: COLOURS[verdict] });

function endpointRow(endpoint: Endpoint): Cell[] {
  const { direction, transport, address, ports } = endpoint;
  const place = ports === null ? address : `${address} ${transport} ${ports}`;
  const where = `${direction === 'opens' ? 'opens' : 'to'} ${place}`;
  return [
    verdictCell(endpoint.verdict),
    ...[endpoint.what, where, endpoint.now, endpoint.why].map((text) => ({ text })),
  ];
}

function serviceRow(row: ServiceRow): Cell[] {
  const texts = [row.service, row.port, row.default, row.advice ?? '-', `${row.now}: ${row.why}`];
  return [verdictCell(row.verdict), ...texts.map((text) => ({ text }))];
}
