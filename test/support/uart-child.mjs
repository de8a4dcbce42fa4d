// The child of played-uart.ts: a SerialPortUart of the built program, steered by lines of JSON on its standard input, which tells what
// it hears on its standard output.
import { constants, openSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { SystemClock } from '../../dist/base/clock.js';
import { SerialPortUart } from '../../dist/uart/serialport.js';

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const [device, rs485] = process.argv.slice(2);
const uart = new SerialPortUart({
  device,
  clock: new SystemClock(),
  lockDirectory: '/nowhere',
  ...(rs485 ? { rs485: { rtsOnSend: true, receiveDuringTransmit: false, delayBeforeMs: 0, delayAfterMs: 0 } } : {}),
});
const done = (result) => say({ done: result, settings: uart.settings, queued: uart.outputQueue });
const threads = () => readdirSync('/proc/self/task').length;

for await (const line of createInterface({ input: process.stdin })) {
  const { call, request, requests, text, kept, elsewhere } = JSON.parse(line);
  if (call === 'open') {
    const before = threads();
    // As from an earlier process, whose descriptor it is given.
    if (kept) {
      kept.fd = openSync(elsewhere ?? device, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
      kept.state.output = Buffer.from(kept.state.output);
    }
    const events = {
      received: (bytes) => say({ received: Buffer.from(bytes).toString() }),
      report: (report) => say({ report }),
      writable: () => {},
      drained: () => say({ drained: true }),
      failed: (fault) => say({ failed: fault.code }),
    };
    try {
      await uart.open(events, kept);
      say({ opened: uart.modemLines, threads: threads() - before });
    } catch (error) {
      say({ notOpened: error.code });
    }
  } else if (call === 'close') {
    const began = performance.now();
    await uart.close();
    say({ closed: threads(), ms: performance.now() - began });
  } else if (call === 'begin close') {
    uart.close().then(() => say({ closed: threads() }));
    say({ begun: true });
  } else if (call === 'hand over') {
    const { state } = uart.handOver();
    say({ kept: { state: { ...state, output: String(Buffer.from(state.output)) } } });
  } else if (call === 'write') say({ wrote: uart.write(Buffer.from(text)), queued: uart.outputQueue });
  else if (call === 'request') done(await uart.request(request));
  else if (call === 'begin') {
    for (const one of requests) uart.request(one).then(done);
    say({ begun: true, queued: [uart.outputQueue, uart.inputQueue] });
  }
}
await uart.close();
