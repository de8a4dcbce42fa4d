import { expect, test } from 'vitest';
import { portNumbers } from '../../../src/serial/port-numbers.js';

// [what it shows, serial port, bases, data port, command port]
const table: [string, number, { dataPort?: number; commandPort?: number }, number, number][] = [
  ['the first port', 1, {}, 950, 966],
  ['the last before the jump', 16, {}, 965, 981],
  ['the jump', 17, {}, 982, 998],
  ['the last of a 32-port server', 32, {}, 997, 1013],
  ['bases 16 apart jump', 17, { dataPort: 4001, commandPort: 4017 }, 4033, 4049],
  ['bases not 16 apart do not', 17, { dataPort: 4001, commandPort: 5001 }, 4017, 5017],
  ['one base of its own', 17, { dataPort: 4001 }, 4017, 982],
  ['the default bases spelled out', 17, { dataPort: 950, commandPort: 966 }, 982, 998],
];

for (const [shows, port, bases, dataPort, commandPort] of table) {
  test(`port numbers: ${shows}`, () => expect(portNumbers(port, bases)).toEqual({ dataPort, commandPort }));
}
