// The Uart contract against every implementation.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { ProgramUart } from '../../src/uart/program.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { SerialLine } from '../support/serial-line.js';
import { uartContract } from './uart-contract.js';

const clock = new SystemClock();
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

uartContract({ name: 'loopback', make: () => new LoopbackUart({ clock, unpaced: true }) });
uartContract({
  name: 'null-modem cable, with an echo at its other end',
  make: () => {
    const [near, far] = LoopbackUart.pair({ clock, unpaced: true });
    const waiting: Uint8Array[] = [];
    const echo = () => {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const taken = far.write(next);
        if (taken < next.length) {
          waiting[0] = next.subarray(taken);
          return;
        }
        waiting.shift();
      }
    };
    const received = (bytes: Uint8Array) => {
      waiting.push(bytes);
      echo();
    };
    void far.open({ received, report: () => {}, writable: echo, drained: () => {}, failed: () => {} });
    ends.push(() => void far.close());
    return near;
  },
});
uartContract({ name: 'program', make: () => new ProgramUart({ clock, program: 'exec cat', unpaced: true }) });
uartContract({
  name: 'serial port (PTY)',
  make: () => {
    const line = new SerialLine({ echo: true });
    const lockDirectory = mkdtempSync(join(tmpdir(), 'ttynp-lock-'));
    ends.push(
      () => line.unplug(),
      () => rmSync(lockDirectory, { recursive: true }),
    );
    return new SerialPortUart({ device: line.path, clock, lockDirectory });
  },
});
