// The simulator: a device server whose serial ports are loop plugs, or programs. For `ttynp simulate`, the demo and
// tests, which steer it through the hooks of its ports (RealComPort) and of its lines (LoopbackUart).
// One process, any number of them; it says what happens through a Log and never prints.
import { type Clock, SystemClock } from '../base/clock.js';
import { type Log, silentLog } from '../base/log.js';
import type { LineRequest } from '../serial/line.js';
import { LoopbackUart } from '../uart/loopback.js';
import type { UartObserver } from '../uart/observer.js';
import { ProgramUart } from '../uart/program.js';
import { DeviceServer, type DeviceServerOptions } from './device-server.js';
import type { PortEvent } from './port-server.js';
import type { RealComPort } from './real-com.js';
import { frameText } from './real-com-client.js';
import { describeRequest } from './request-text.js';

type Tuning = Pick<
  DeviceServerOptions,
  'pollingMs' | 'maxMissedPolls' | 'notifyDelayMs' | 'busyHoldMs' | 'pairTimeoutMs' | 'event'
>;

export interface SimulatorOptions extends Tuning {
  /** Default 1. */
  readonly ports?: number;
  /** Default 127.0.0.1. */
  readonly listen?: string;
  /** Of serial port 1; 0: any free ones. Default 950 and 966. */
  readonly dataPort?: number;
  readonly commandPort?: number;
  /** Bytes take no time on the line. */
  readonly unpaced?: boolean;
  /** A loop plug answers so much later. */
  readonly echoDelayMs?: number;
  /** Instead of a loop plug, this program is the device on each port. */
  readonly exec?: string;
  /** False: a loop plug whose TX is not connected to RX; see LoopbackOptions. */
  readonly echo?: boolean;
  readonly lossy?: boolean;
  readonly transmitBuffer?: number;
  readonly receiveBuffer?: number;
  /** Who watches the line of serial port `n`. */
  observer?(n: number): UartObserver | undefined;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Every command and frame is logged too. */
  readonly verbose?: boolean;
}

export interface SimulatorHandle {
  readonly address: string;
  readonly server: DeviceServer;
  readonly ports: readonly RealComPort[];
  /** Serial port `n`, from 1: its TCP ports, its host and the hooks of its connections. */
  port(n: number): RealComPort;
  /** The loop plug of port `n` and its hooks. Throws where a program is the device. */
  line(n: number): LoopbackUart;
  /** Switched off: connections are reset and new ones refused; switched on again, on the same TCP ports. */
  stop(how?: 'reset' | 'end'): Promise<void>;
  start(): Promise<void>;
  /** Idempotent; nothing of it is left when it resolves. */
  close(): Promise<void>;
}

/** Rejects with a Fault where it cannot listen, or the program cannot be started; nothing is left then. */
export async function runSimulator(options: SimulatorOptions = {}): Promise<SimulatorHandle> {
  const clock = options.clock ?? new SystemClock();
  const log = options.log ?? silentLog;
  const lines: LoopbackUart[] = [];
  const server = new DeviceServer({
    ...options,
    clock,
    ports: options.ports ?? 1,
    address: options.listen ?? '127.0.0.1',
    uart: (n) => makeUart(n, options, clock, log, lines),
    event: (n, event) => {
      logEvent(log, n, event, options.verbose ?? false);
      options.event?.(n, event);
    },
  });
  await server.open();
  return {
    address: server.address,
    server,
    ports: server.ports,
    port: (n) => server.port(n),
    line(n) {
      const line = lines[n - 1];
      if (line === undefined) throw new RangeError(`port ${n} has no loop plug`);
      return line;
    },
    stop: (how) => server.stop(how),
    start: () => server.start(),
    close: () => server.close(),
  };
}

function makeUart(n: number, options: SimulatorOptions, clock: Clock, log: Log, lines: LoopbackUart[]) {
  const observer = options.observer?.(n);
  const name = `port ${n}`;
  const { observer: _, ...rest } = options;
  const common = { ...rest, clock, name, ...(observer === undefined ? {} : { observer }) };
  if (options.exec !== undefined) return new ProgramUart({ ...common, program: options.exec, log });
  const line = new LoopbackUart(common);
  lines.push(line);
  return line;
}

function logEvent(log: Log, n: number, event: PortEvent, verbose: boolean): void {
  const port = `port ${n}`;
  switch (event.type) {
    case 'connected':
      log.log('info', `${port}: ${event.kind} connection from ${event.peer}`);
      break;
    case 'disconnected':
      log.log('info', `${port}: ${event.peer} disconnected: ${event.reason}`);
      break;
    case 'waits':
      break;
    case 'busy':
      log.log('info', `${port}: ${event.kind} connection from ${event.peer} while the port is in use`);
      break;
    case 'denied':
      log.log('info', `${port}: ${event.kind} connection from ${event.peer}, who may not connect`);
      break;
    case 'failed':
      log.log('error', `${port}: ${event.fault.message}`);
      break;
    case 'request':
      if (verbose || isLineChange(event.request)) {
        log.log('info', `${port}: ${describeRequest(event.request)}${event.refused ? ' refused' : ''}`);
      }
      break;
    case 'note':
      log.log('info', `${port}: ${event.text}`);
      break;
    case 'malformed':
      break;
    case 'frame':
      if (verbose) log.log('info', `${port}: -> ${frameText(event.frame)}`);
      break;
    default:
      event satisfies never;
  }
}

function isLineChange(request: LineRequest): boolean {
  return request.type === 'settings' || request.type === 'lines' || request.type === 'break';
}
