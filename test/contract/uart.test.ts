// The Uart contract against every implementation.
import { SystemClock } from '../../src/base/clock.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { ProgramUart } from '../../src/uart/program.js';
import { uartContract } from './uart-contract.js';

const clock = new SystemClock();

uartContract({ name: 'loopback', make: () => new LoopbackUart({ clock, unpaced: true }) });
uartContract({ name: 'program', make: () => new ProgramUart({ clock, program: 'exec cat', unpaced: true }) });
