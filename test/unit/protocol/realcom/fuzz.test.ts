import { expect, test } from 'vitest';
import { fuzzOnce, random } from './fuzz.js';

const INPUTS = 10_000;

test(`${INPUTS} inputs, each against both decoders and both engines`, () => {
  const next = random(0x5eed);
  for (let i = 0; i < INPUTS; i++) fuzzOnce(next);
  expect(next()).toBeGreaterThan(0);
});
