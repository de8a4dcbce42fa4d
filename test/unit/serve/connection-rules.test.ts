// The seven rules of connection control, by what happens; no connection is made.
import { expect, test } from 'vitest';
import type { ConnectionControl } from '../../../src/config/resolved.js';
import { ConnectionRules } from '../../../src/serve/connection-rules.js';

type Step = 'char' | 'dsr+' | 'dsr-' | 'dcd+' | 'dcd-' | 'ended';

const LINES = { cts: true, dsr: false, dcd: false, ri: false };

function wantedAfter(control: ConnectionControl, steps: readonly Step[]): boolean[] {
  const rules = new ConnectionRules(control);
  let lines = LINES;
  return steps.map((step) => {
    if (step === 'char') rules.character();
    else if (step === 'ended') rules.ended();
    else {
      lines = { ...lines, [step.slice(0, 3)]: step.endsWith('+') };
      rules.lines(lines);
    }
    return rules.wanted;
  });
}

const STEPS: Step[] = ['dsr+', 'char', 'dsr-', 'ended', 'dcd+', 'char', 'dcd-', 'ended', 'dsr+', 'ended'];

test.each<[ConnectionControl, boolean[]]>([
  //                                dsr+   char   dsr-   ended  dcd+   char   dcd-   ended  dsr+   ended
  ['startup', /*                 */ [true, true, true, true, true, true, true, true, true, true]],
  ['any-character', /*           */ [false, true, true, false, false, true, true, false, false, false]],
  ['any-character/inactivity-time', [false, true, true, false, false, true, true, false, false, false]],
  ['dsr-on', /*                  */ [true, true, true, false, false, false, false, false, true, true]],
  ['dsr-on/dsr-off', /*          */ [true, true, false, false, false, false, false, false, true, true]],
  ['dcd-on', /*                  */ [false, false, false, false, true, true, true, false, false, false]],
  ['dcd-on/dcd-off', /*          */ [false, false, false, false, true, true, false, false, false, false]],
])('%s', (control, expected) => {
  expect(wantedAfter(control, STEPS)).toEqual(expected);
});
