// The demo's proof: what an application does at the tty arrives at the device, and what the device sends arrives at the
// application. Looks at the far end, the simulator's line, not at what the daemon says of itself.
import { lineTimeMs } from '../../serial/line.js';
import type { SimulatorHandle } from '../../serve/simulator.js';
import { DemoTty } from './demo-tty.js';

export interface CheckResult {
  readonly name: string;
  readonly text: string;
  readonly ok: boolean;
}

const GREETING = Buffer.from('hello over Real COM');
const ROUND_TRIPS = 200;
const WAIT_MS = 5000;

async function until(done: () => boolean): Promise<boolean> {
  const deadline = performance.now() + WAIT_MS;
  while (!done()) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return true;
}

/** One result for each check, in order; a check that throws has failed. Port 1 of the simulator is behind `path`. */
export async function* selfCheck(simulator: SimulatorHandle, path: string): AsyncGenerator<CheckResult> {
  const line = simulator.line(1);
  const tty = new DemoTty(path);
  try {
    yield await check('data', async () => {
      tty.write(GREETING);
      const back = await tty.read(GREETING.length, WAIT_MS);
      return {
        ok: back.equals(GREETING),
        text: `${GREETING.length} bytes out, ${back.length} back: "${back.toString()}"`,
      };
    });
    yield await check('rate', async () => {
      const before = line.settings.baudRate;
      tty.setRate(115200);
      const ok = await until(() => line.settings.baudRate === 115200);
      return {
        ok,
        text: `the application asked for 115200: the device had ${before} and has ${line.settings.baudRate} baud`,
      };
    });
    yield await check('round trip', () => roundTrip(tty, simulator));
    const during = line.outputLines;
    tty.close();
    yield await check('DTR', async () => {
      const dropped = await until(() => !line.outputLines.dtr);
      const ok = during.dtr && dropped;
      return {
        ok,
        text: `at the device: ${word(during.dtr)} while open, ${word(line.outputLines.dtr)} after the close`,
      };
    });
  } catch (error) {
    yield { name: 'demo', ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}

async function check(name: string, run: () => Promise<Omit<CheckResult, 'name'>>): Promise<CheckResult> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return { name, ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}

async function roundTrip(tty: DemoTty, simulator: SimulatorHandle): Promise<Omit<CheckResult, 'name'>> {
  const bytes = Buffer.from('12345678');
  const times: number[] = [];
  let wrong = 0;
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const began = performance.now();
    tty.write(bytes);
    const back = await tty.read(bytes.length, WAIT_MS);
    times.push(performance.now() - began);
    if (!back.equals(bytes)) wrong++;
  }
  times.sort((a, b) => a - b);
  const p50 = times[Math.floor(times.length / 2)] ?? 0;
  const p99 = times[Math.floor(times.length * 0.99)] ?? 0;
  const onLine = lineTimeMs(simulator.line(1).settings, bytes.length);
  return {
    ok: wrong === 0,
    text: `8 bytes ${ROUND_TRIPS} times: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, of which ${onLine.toFixed(2)} ms on the line`,
  };
}

function word(on: boolean): string {
  return on ? 'on' : 'off';
}
