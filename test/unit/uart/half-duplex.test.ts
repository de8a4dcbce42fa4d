// Two wires: the echo is taken away and nothing else, and nothing is sent too soon. The port below is one that sends back what it
// gets (a loop plug), or says what the test says.
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { HalfDuplexUart } from '../../../src/uart/half-duplex.js';
import { LoopbackUart } from '../../../src/uart/loopback.js';
import { ManualClock } from '../../support/manual-clock.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function rig(options: { echo?: boolean; turnaroundMs?: number; suppression?: boolean } = {}) {
  const clock = new ManualClock();
  const line = new LoopbackUart({ clock, echo: options.echo ?? true });
  const { turnaroundMs = 0, suppression: echoSuppression = true } = options;
  const uart = new HalfDuplexUart(line, { clock, turnaroundMs, echoSuppression });
  const heard: Uint8Array[] = [];
  let writable = 0;
  await uart.open({
    received: (bytes) => heard.push(bytes),
    report: () => {},
    writable: () => writable++,
    drained: () => {},
    failed: () => {},
  });
  ends.push(() => uart.close());
  return { clock, line, uart, text: () => Buffer.concat(heard).toString('latin1'), writable: () => writable };
}

test('what was sent is not heard, what the device says is', async () => {
  const { clock, line, uart, text } = await rig();
  expect(uart.write(Buffer.from('ask'))).toBe(3);
  await clock.advanceAsync(50);
  expect(text()).toBe('');
  line.inject(Buffer.from('answer'));
  await clock.advanceAsync(50);
  expect(text()).toBe('answer');
});

test('an answer right behind the echo is whole, one that looks like the request too', async () => {
  const { clock, line, uart, text } = await rig({ echo: false });
  uart.write(Buffer.from('ping'));
  await clock.advanceAsync(10);
  line.inject(Buffer.from('pingping'));
  await clock.advanceAsync(50);
  expect(text()).toBe('ping');
});

test('who speaks into it is heard from the first byte on that differs', async () => {
  const { clock, line, uart, text } = await rig({ echo: false });
  uart.write(Buffer.from('request'));
  await clock.advanceAsync(10);
  line.inject(Buffer.from('reqXest'));
  line.inject(Buffer.from('more'));
  await clock.advanceAsync(50);
  expect(text()).toBe('Xestmore');
});

test('an echo that does not come is not waited for', async () => {
  const { clock, line, uart, text } = await rig({ echo: false });
  uart.write(Buffer.from('ask'));
  await clock.advanceAsync(500);
  line.inject(Buffer.from('ask'));
  await clock.advanceAsync(50);
  expect(text()).toBe('ask');
});

test('any requests, cut anywhere: nothing of them is heard, and all of what is said in between', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.uint8Array({ maxLength: 40 })), {
        maxLength: 8,
      }),
      async (turns) => {
        const { clock, line, uart, text } = await rig();
        for (const [request, answer] of turns) {
          for (let at = 0; at < request.length; ) {
            at += uart.write(request.subarray(at, at + 7));
            await clock.advanceAsync(3);
          }
          await clock.advanceAsync(100);
          line.inject(answer);
          await clock.advanceAsync(100);
        }
        expect(text()).toBe(turns.map(([, answer]) => Buffer.from(answer).toString('latin1')).join(''));
      },
    ),
    { numRuns: 50 },
  );
});

test('nothing is sent sooner after a received byte than the turnaround delay', async () => {
  const { clock, line, uart, text, writable } = await rig({ echo: false, turnaroundMs: 20, suppression: false });
  expect(uart.write(Buffer.from('1'))).toBe(1);
  await clock.advanceAsync(5);
  line.inject(Buffer.from('x'));
  await clock.advanceAsync(5);
  expect(text()).toBe('x');
  const before = writable();
  expect(uart.write(Buffer.from('2'))).toBe(0);
  await clock.advanceAsync(10);
  expect([uart.write(Buffer.from('2')), writable() - before]).toEqual([0, 0]);
  await clock.advanceAsync(20);
  expect(writable() - before).toBe(1);
  expect(uart.write(Buffer.from('2'))).toBe(1);
});
