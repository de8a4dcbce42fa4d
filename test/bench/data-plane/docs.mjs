// Puts the figures of a run into docs/performance.md, between its two marks, and the drawing beside it.
import { readFileSync, writeFileSync } from 'node:fs';
import { goalRows } from './goals.mjs';
import { machineText } from './machine.mjs';
import { ROOT } from './rig.mjs';
import { tableText } from './table.mjs';

const PAGE = `${ROOT}docs/performance.md`;
const BEGIN = /<!-- figures:[^>]*-->\n/;
const END = '<!-- end of figures -->';

function goalTable(goals) {
  const [heading, ...rows] = goalRows(goals);
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(heading), line(heading.map(() => '---')), ...rows.map(line)];
}

export function intoPage({ here, loadAtEnd, quick, rounds, goals, tables, missing }) {
  const page = readFileSync(PAGE, 'utf8');
  const [mark] = BEGIN.exec(page) ?? [];
  if (mark === undefined || !page.includes(END)) throw new Error(`${PAGE} has no marks for the figures`);
  const length = quick ? ', short ones (`--quick`): the outage was 10 s' : '';
  const told = [
    ...machineText(here).map((text) => `${text}  `),
    `load when it ended: ${loadAtEnd.join(' ')}; ${rounds} rounds${length}.`,
    ...missing.map((peer) => `${peer.name} is not in the tables: ${peer.missing()}.`),
    '',
    'Ratios are of the best rounds, against the faster of the two C bridges:',
    '',
    ...goalTable(goals),
    '',
    ...tables.flatMap((table) => ['```', ...tableText(table), '```', '']),
  ];
  const before = page.slice(0, page.indexOf(mark) + mark.length);
  writeFileSync(PAGE, `${before}${told.join('\n')}${page.slice(page.indexOf(END))}`);
}

export const DRAWING = `${ROOT}docs/performance.svg`;
