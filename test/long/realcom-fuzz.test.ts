import { expect, test } from 'vitest';
import { fuzzOnce, random } from '../unit/protocol/realcom/fuzz.js';

const INPUTS = 10_000_000;
const BATCH = 100_000;

test(`${INPUTS} inputs, each against both decoders and both engines; memory stays flat`, () => {
  const seed = Date.now() | 0;
  console.log(`seed ${seed}`);
  const next = random(seed);
  const heap = () => process.memoryUsage().heapUsed;
  for (let i = 0; i < BATCH; i++) fuzzOnce(next);
  const early = heap();
  for (let i = BATCH; i < INPUTS; i++) fuzzOnce(next);
  expect(heap() - early).toBeLessThan(200 * 1024 * 1024);
});
