// All serial ports of this machine that the configuration offers, wanted against running. An unchanged port is not touched.
import type { ReloadResult, SerialPortView, TraceRecord } from '../../api/types.js';
import { type ResolvedSerialPort, sameSerialPort } from '../../config/resolved.js';
import type { ServedKeepers } from '../handover/served-keepers.js';
import { ServedPort, type ServedPortOptions } from './served-port.js';
import { ServedTrace } from './served-trace.js';

export interface ServedPortsOptions extends Omit<ServedPortOptions, 'config' | 'trace' | 'kept' | 'keeper'> {
  readonly keepers: ServedKeepers;
}

type Changes = Pick<ReloadResult, 'added' | 'removed' | 'changed' | 'unchanged'>;

export class ServedPorts {
  readonly #o: ServedPortsOptions;
  readonly #ports = new Map<number, ServedPort>();
  /** By number: who traces a port goes on when it is changed, and when it is taken away and comes again. */
  readonly #traces = new Map<number, ServedTrace>();
  #work: Promise<void> = Promise.resolve();
  #handedOver = false;

  constructor(options: ServedPortsOptions) {
    this.#o = options;
  }

  /**
   * Ends what is not wanted any more, or otherwise, before it begins what is: TCP ports and devices may change hands.
   * Resolves when each has been tried once. Never rejects. One at a time: a second call waits for the first.
   */
  become(wanted: readonly ResolvedSerialPort[], result?: Changes): Promise<void> {
    this.#work = this.#work.then(() => this.#become(wanted, result));
    return this.#work;
  }

  async #become(wanted: readonly ResolvedSerialPort[], result: Changes | undefined): Promise<void> {
    // A reload that was under way would begin anew what has been handed over.
    if (this.#handedOver) return;
    const leaving: Promise<void>[] = [];
    const known = new Set(this.#ports.keys());
    for (const [number, running] of [...this.#ports]) {
      const config = wanted.find(({ port }) => port === number);
      if (config !== undefined && sameSerialPort(config, running.config)) {
        if (result !== undefined) result.unchanged++;
        continue;
      }
      (config === undefined ? result?.removed : result?.changed)?.push(nameOf(number));
      this.#ports.delete(number);
      leaving.push(running.stop());
    }
    await Promise.all(leaving);
    const coming: ServedPort[] = [];
    for (const config of wanted) {
      if (this.#ports.has(config.port)) continue;
      if (!known.has(config.port)) result?.added.push(nameOf(config.port));
      // Where it stands in the file is not what it says.
      const words = JSON.stringify({ ...config, source: undefined });
      const port = new ServedPort({
        ...this.#o,
        config,
        trace: this.#trace(config.port),
        kept: await this.#o.keepers.adopt(config.port, words),
        keeper: this.#o.keepers.keeper(config.port, words),
      });
      this.#ports.set(config.port, port);
      coming.push(port);
    }
    // Before any is opened: it may have the device of one that is not offered any more.
    await this.#o.keepers.endRest();
    await Promise.all(coming.map((port) => port.start()));
  }

  /** Leaves all that can be left to the next process, and stops the others. Never rejects. */
  async handOver(atMostMs: number): Promise<void> {
    const begun = this.#work;
    this.#handedOver = true;
    await begun;
    await Promise.all([...this.#ports.values()].map((port) => port.handOver(atMostMs)));
    this.#ports.clear();
  }

  views(): SerialPortView[] {
    return [...this.#ports.values()].map((port) => port.view()).sort((a, b) => a.port - b.port);
  }

  /** What is told first is how the port is now. Returns how to end it. */
  trace(number: number, listener: (record: TraceRecord) => void): () => void {
    const trace = this.#trace(number);
    const end = trace.add(listener);
    const view = this.#ports.get(number)?.view();
    if (view !== undefined) listener(trace.stateOf(view));
    return end;
  }

  #trace(number: number): ServedTrace {
    let trace = this.#traces.get(number);
    if (trace === undefined) {
      trace = new ServedTrace(this.#o.clock);
      this.#traces.set(number, trace);
    }
    return trace;
  }

  /** Where clients can connect at present. */
  listeners(): { readonly address: string; readonly port: number }[] {
    return this.views().flatMap(({ listen, tcpPorts }) => tcpPorts.map((port) => ({ address: listen, port })));
  }

  /** Never rejects. */
  stop(): Promise<void> {
    return this.become([]);
  }
}

const nameOf = (port: number): string => `serial port ${port}`;
