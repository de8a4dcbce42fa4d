// A device server: serial ports 1 to N, each with its Real COM server, on TCP ports as such servers number them.
// Makes no serial ports itself: its owner says what each of them is. Follows docs/protocol/realcom.md section 1.1.
import type { Clock } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { DEFAULT_COMMAND_PORT, DEFAULT_DATA_PORT, portNumbers } from '../serial/port-numbers.js';
import type { Uart } from '../uart/uart.js';
import type { PortEvent } from './port-server.js';
import { type RealComOptions, RealComPort } from './real-com.js';

type Tuning = Pick<RealComOptions, 'pollingMs' | 'maxMissedPolls' | 'notifyDelayMs' | 'busyHoldMs' | 'pairTimeoutMs'>;

export interface DeviceServerOptions extends Tuning {
  readonly clock: Clock;
  readonly ports: number;
  readonly address: string;
  /** Of serial port 1; default 950. 0: any free port for each, told by `port(n).dataPort`. */
  readonly dataPort?: number;
  /** Of serial port 1; default 966. 0 exactly where `dataPort` is. */
  readonly commandPort?: number;
  /** Serial port `n`, from 1. */
  uart(n: number): Uart;
  event?(n: number, event: PortEvent): void;
}

export const MAX_PORTS = 256;
const MAX_TCP_PORT = 65_535;

export class DeviceServer {
  readonly address: string;
  readonly #ports: RealComPort[];

  /** Throws a Fault where the numbers cannot be. */
  constructor(options: DeviceServerOptions) {
    this.address = options.address;
    const numbers = tcpPorts(
      options.ports,
      options.dataPort ?? DEFAULT_DATA_PORT,
      options.commandPort ?? DEFAULT_COMMAND_PORT,
    );
    this.#ports = numbers.map(({ dataPort, commandPort }, index) => {
      const n = index + 1;
      const { event, uart } = options;
      return new RealComPort({
        ...options,
        dataPort,
        commandPort,
        uart: uart(n),
        event: (what) => event?.(n, what),
      });
    });
  }

  get ports(): readonly RealComPort[] {
    return this.#ports;
  }

  /** Serial port `n`, from 1. */
  port(n: number): RealComPort {
    const port = this.#ports[n - 1];
    if (port === undefined) throw new RangeError(`there is no port ${n}`);
    return port;
  }

  /** Rejects with a Fault where one port cannot be had; none is left open then. */
  async open(): Promise<void> {
    try {
      for (const port of this.#ports) await port.open();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.close()));
  }

  /** As if the server were switched off: all hosts lose their connections, and new ones are refused. */
  async stop(how: 'reset' | 'end' = 'reset'): Promise<void> {
    const refusing = Promise.all(this.#ports.map((port) => port.pauseAccepting()));
    for (const port of this.#ports) port.kill('both', how);
    await refusing;
  }

  /** Switched on again, on the same TCP ports. */
  async start(): Promise<void> {
    for (const port of this.#ports) await port.resumeAccepting();
  }
}

function tcpPorts(count: number, dataBase: number, commandBase: number) {
  if (!Number.isInteger(count) || count < 1 || count > MAX_PORTS) {
    throw new Fault('CONFIG_INVALID', `${count} ports: must be 1 to ${MAX_PORTS}`);
  }
  if ((dataBase === 0) !== (commandBase === 0)) {
    throw new Fault('CONFIG_INVALID', 'data port and command port must both be 0 (any free ports), or neither');
  }
  const all = Array.from({ length: count }, (_, index) =>
    dataBase === 0
      ? { dataPort: 0, commandPort: 0 }
      : portNumbers(index + 1, { dataPort: dataBase, commandPort: commandBase }),
  );
  if (dataBase === 0) return all;
  const seen = new Set<number>();
  for (const [index, { dataPort, commandPort }] of all.entries()) {
    for (const port of [dataPort, commandPort]) {
      if (!Number.isInteger(port) || port < 1 || port > MAX_TCP_PORT) {
        throw new Fault(
          'CONFIG_INVALID',
          `serial port ${index + 1} would get TCP port ${port}: must be 1 to ${MAX_TCP_PORT}`,
        );
      }
      if (seen.has(port)) {
        throw new Fault(
          'CONFIG_INVALID',
          `TCP port ${port} would be used twice: data ports from ${dataBase} and command ports from ${commandBase} overlap with ${count} ports`,
        );
      }
      seen.add(port);
    }
  }
  return all;
}
