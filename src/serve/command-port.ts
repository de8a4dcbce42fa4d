// The command port beside a raw TCP server: drivers set the line by the commands of Real COM and are told of its modem lines,
// while the bytes go their own way. Follows docs/protocol/realcom.md section 2; the device servers' "allow driver control".
import type { Socket } from 'node:net';
import { ClientGate, type ClientGateOptions } from './client-gate.js';
import { type Arriving, type KeptRealComClient, type Leaving, NOT_READ } from './handover.js';
import type { PortEvent } from './port-server.js';
import type { PortTrace } from './port-trace.js';
import { type DataSide, RealComClient } from './real-com-client.js';
import type { SharedLine } from './shared-line.js';

export interface CommandPortOptions extends Omit<ClientGateOptions, 'admitted' | 'refused' | 'waits'> {
  readonly line: SharedLine;
  /** What the bytes of other connections are to a question about the queues, and to a flush. */
  readonly data: DataSide;
  readonly trace?: PortTrace | undefined;
  event(event: PortEvent): void;
  /** A client is gone; what it did to the line is not undone yet. */
  left(): void;
}

const POLLING_MS = 30_000;
const MAX_MISSED_POLLS = 3;
const NOTIFY_DELAY_MS = 5;
const NO_FAULTS = { mute: false, delayMs: 0, byteByByte: false };

export class CommandPort {
  readonly #o: CommandPortOptions;
  readonly #gate: ClientGate;
  readonly #clients = new Set<RealComClient>();

  constructor(options: CommandPortOptions) {
    this.#o = options;
    this.#gate = new ClientGate({
      ...options,
      admitted: (socket, address) => this.#admitted(socket, address),
      refused: (type, peer) => options.event({ type, kind: 'command', peer }),
      waits: (peer) => options.event({ type: 'waits', kind: 'command', peer }),
    });
  }

  get port(): number {
    return this.#gate.port;
  }

  get descriptor(): number | undefined {
    return this.#gate.descriptor;
  }

  /** Rejects with a Fault. */
  open(kept?: number): Promise<void> {
    return this.#gate.open(kept);
  }

  // hand-over: as of the whole server (port-server.ts)

  /** Takes nobody in any more. Returns the descriptor that listens, which is the caller's. */
  leave(): number | undefined {
    return this.#gate.leave();
  }

  stop(): void {
    for (const client of this.#clients) client.stop();
  }

  get idle(): boolean {
    return [...this.#clients].every(({ idle }) => idle);
  }

  endBusy(): void {
    for (const client of [...this.#clients]) if (!client.idle) client.end(NOT_READ);
  }

  handOver(leaving: Leaving): KeptRealComClient[] {
    return [...this.#clients].map((client) => client.handOver(leaving));
  }

  goOn(kept: KeptRealComClient, arriving: Arriving): void {
    const socket = kept.command && arriving.socket(kept.command.socket);
    if (socket === undefined) {
      // Reset meanwhile: what it did to the line is undone as ever.
      this.#o.left();
      return;
    }
    const client = this.#newClient(kept.address, kept);
    client.adopt('command', socket);
    this.#gate.takeOver(socket, kept.address);
    client.goOn(kept);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    for (const client of [...this.#clients]) client.end('the server is closing');
    await this.#gate.close();
  }

  #admitted(socket: Socket, peer: string): void {
    this.#newClient(peer).adopt('command', socket);
    this.#o.event({ type: 'connected', kind: 'command', peer: `${peer}:${socket.remotePort ?? 0}` });
  }

  #newClient(peer: string, kept?: KeptRealComClient): RealComClient {
    const { clock, line, data, trace, aliveCheckMs, event } = this.#o;
    const client: RealComClient = new RealComClient({
      clock,
      line,
      data,
      trace,
      peer,
      kept,
      faults: NO_FAULTS,
      notifyDelayMs: NOTIFY_DELAY_MS,
      pollingMs: POLLING_MS,
      maxMissedPolls: MAX_MISSED_POLLS,
      pairTimeoutMs: undefined,
      aliveCheckMs,
      refuses: () => false,
      event,
      ended: (reason) => {
        this.#clients.delete(client);
        event({ type: 'disconnected', peer, reason });
        this.#o.left();
      },
    });
    this.#clients.add(client);
    return client;
  }
}
