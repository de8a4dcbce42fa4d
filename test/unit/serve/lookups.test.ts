// Names asked for again and again while their answers do not come. No name server is asked.
import { expect, test } from 'vitest';
import { Lane, Lookups } from '../../../src/serve/lookups.js';

function rig() {
  const asked: { name: string; answer: (address: string) => void }[] = [];
  const lookups = new Lookups((name, _, answered) => {
    asked.push({ name, answer: (address) => answered(null, address, 4) });
  });
  const told: string[] = [];
  const ask = (name: string, who: string) =>
    lookups.lookup(name, {}, (_, address) => told.push(`${who}: ${String(address)}`));
  const answer = (name: string, address: string) => {
    const at = asked.findIndex((one) => one.name === name);
    asked.splice(at, 1)[0]?.answer(address);
  };
  const names = () => asked.map(({ name }) => name);
  return { ask, answer, names, told };
}

test('a name that is asked for a thousand times is one question, and who asked last is told', () => {
  const { ask, answer, names, told } = rig();
  for (let i = 1; i <= 1000; i++) ask('plc', String(i));
  expect(names()).toEqual(['plc']);
  answer('plc', '10.0.0.7');
  expect(told).toEqual(['1000: 10.0.0.7']);
  ask('plc', 'again');
  answer('plc', '10.0.0.8');
  expect(told.slice(1)).toEqual(['again: 10.0.0.8']);
});

test('a thousand names are two questions, and the last one is asked when one of them is answered', () => {
  const { ask, answer, names, told } = rig();
  for (let i = 1; i <= 1000; i++) ask(`n${i}`, String(i));
  expect(names()).toEqual(['n1', 'n2']);
  answer('n2', '10.0.0.2');
  expect([names(), told]).toEqual([['n1', 'n1000'], []]);
  answer('n1', '10.0.0.1');
  answer('n1000', '10.0.0.3');
  expect([names(), told]).toEqual([[], ['1000: 10.0.0.3']]);
});

test('names that had no answer are asked for one after the other, whoever wants them; others do not wait for them', () => {
  const asked: { name: string; answer: (error: Error | null) => void }[] = [];
  const lane = new Lane();
  const told: string[] = [];
  const owner = () =>
    new Lookups((name, _, answered) => {
      asked.push({ name, answer: (error) => answered(error as NodeJS.ErrnoException | null, '10.0.0.7', 4) });
    }, lane);
  const owners = [owner(), owner(), owner()];
  const want = (i: number, name: string) =>
    owners[i]?.lookup(name, {}, (error) => told.push(`${name}: ${error?.message ?? 'well'}`));
  const answerNext = (error: Error | null = null) => asked.shift()?.answer(error);
  const names = () => asked.map(({ name }) => name);
  for (const i of [0, 1, 2]) want(i, `dead${i}`);
  expect(names()).toEqual(['dead0', 'dead1', 'dead2']);
  for (const _ of names()) answerNext(new Error('nobody'));
  expect(told).toEqual([0, 1, 2].map((i) => `dead${i}: nobody`));
  for (const i of [0, 1, 2]) want(i, `dead${i}`);
  expect(names()).toEqual(['dead0']);
  want(2, 'good');
  expect(names()).toEqual(['dead0', 'good']);
  answerNext();
  expect(names()).toEqual(['good', 'dead1']);
  answerNext();
  answerNext();
  answerNext();
  expect(told.slice(3)).toEqual(['dead0: well', 'good: well', 'dead1: well']);
  // Those that are well do not wait any more.
  for (const i of [0, 1]) want(i, `dead${i}`);
  expect(names()).toEqual(['dead0', 'dead1']);
});
