// The child of test/integration/serial-driver.test.ts: a SerialPortUart of the built program, steered by lines of JSON on
// its standard input, which tells what it hears on its standard output.
import { readdirSync } from 'node:fs';
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
  const { call, request, text } = JSON.parse(line);
  if (call === 'open') {
    const before = threads();
    await uart.open({
      received: (bytes) => say({ received: Buffer.from(bytes).toString() }),
      report: (report) => say({ report }),
      writable: () => {},
      drained: () => say({ drained: true }),
      failed: (fault) => say({ failed: fault.code }),
    });
    say({ opened: uart.modemLines, threads: threads() - before });
  } else if (call === 'close') {
    const began = performance.now();
    await uart.close();
    say({ closed: threads(), ms: performance.now() - began });
  } else if (call === 'write') say({ wrote: uart.write(Buffer.from(text)), queued: uart.outputQueue });
  else if (call === 'request') done(await uart.request(request));
  else if (call === 'begin') {
    uart.request(request).then(done);
    say({ begun: true, queued: [uart.outputQueue, uart.inputQueue] });
  }
}
await uart.close();
