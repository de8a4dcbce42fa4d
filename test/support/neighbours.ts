// One daemon with many serial ports of which one is flooded, and two neighbours that send numbered blocks to what echoes them: a
// tcp-server port, and a tty at the simulator. A flood is over when its neighbours have got every byte once and in order, and
// the daemon has grown neither big nor talkative by it.
import type { Socket } from 'node:net';
import { expect } from 'vitest';
import type { SerialPortView } from '../../src/api/types.js';
import { eventually, Whole, type WholeOptions } from './e2e.js';
import { floodSocket } from './floods.js';
import { freePort } from './free-ports.js';
import { RawPeer } from './raw-peer.js';
import { App } from './rig.js';
import { SerialLine } from './serial-line.js';

const BLOCK_BYTES = 512;
const MIB = 1024 * 1024;
/** Over what it had before the first flood, with much garbage that is not collected yet. */
const MOST_GROWTH = 224 * MIB;
/** Of one flood. Each kind of thing that a port tells is told five times a minute. */
const MOST_LOG_LINES = 50;
const MOST_LOG_BYTES = 10_000;
const SPARE_DESCRIPTORS = 4;
/** Tenths of a second: a kernel takes a megabyte more when its buffer has room for that. */
const UNCHANGED = 8;

/** Of bytes of every value; no two alike. */
function numbered(n: number): Buffer {
  const block = Buffer.from(Array.from({ length: BLOCK_BYTES }, (_, i) => (i + n) & 0xff));
  block.writeUInt32BE(n, 0);
  return block;
}

/** Sends a block when the one before has come back. */
class Neighbour {
  #n = 0;
  #running = false;
  #done: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    /** Returns how many bytes were taken. */
    readonly write: (bytes: Buffer) => number,
    /** What there is, and empty where there is nothing. */
    readonly read: () => Buffer,
  ) {}

  /** How many it has sent. */
  get blocks(): number {
    return this.#n;
  }

  start(): void {
    this.#running = true;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  /** Rejects where a block did not come back as it was. */
  stop(): Promise<void> {
    this.#running = false;
    return this.#done;
  }

  async #run(): Promise<void> {
    do await this.#echo(numbered(this.#n++));
    while (this.#running);
  }

  async #echo(block: Buffer): Promise<void> {
    let rest = block;
    let got: Buffer = Buffer.alloc(0);
    const look = () => {
      if (rest.length > 0) rest = rest.subarray(this.write(rest));
      got = Buffer.concat([got, this.read()]);
      return got.length >= block.length;
    };
    const what = () => `${this.name}, block ${this.#n - 1}: ${got.length} of ${block.length} bytes are back`;
    await eventually(what, look);
    if (!got.equals(block))
      throw new Error(
        `${this.name}, block ${this.#n - 1}: ${block.toString('hex')}\ncame back as ${got.toString('hex')}`,
      );
  }
}

export type PortOptions = Readonly<Record<string, unknown>> & { readonly mode: string };

export class Neighbourhood {
  readonly #lines = new Map<string, SerialLine>();
  readonly #names: readonly string[];
  readonly #neighbours: Neighbour[] = [];
  readonly #ends: (() => unknown)[] = [];
  #whole: Whole | undefined;
  #memoryBefore = 0;

  private constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** @param ports by a name that the test gives to each; the neighbour's own is behind them. */
  static async start(ports: Readonly<Record<string, PortOptions>>, options: WholeOptions = {}): Promise<Neighbourhood> {
    const hood = new Neighbourhood([...Object.keys(ports), 'neighbour']);
    try {
      await hood.#begin(ports, options);
      return hood;
    } catch (error) {
      await hood.close();
      throw error;
    }
  }

  async #begin(ports: Readonly<Record<string, PortOptions>>, { config, ...options }: WholeOptions): Promise<void> {
    const tcpPort = await freePort();
    const all = { ...ports, neighbour: { mode: 'tcp-server', tcpPort } };
    const serialPorts = Object.entries(all).map(([name, port], i) => [
      i + 1,
      { device: this.#makeLine(name), ...port },
    ]);
    this.line('neighbour').echo = true;
    const whole = await Whole.start({
      simulator: { unpaced: true },
      ...options,
      config: { serialPorts: Object.fromEntries(serialPorts), ...config },
    });
    this.#whole = whole;
    for (const name of this.#names) await this.portIs(name, 'is up', ({ state }) => state === 'up');
    const peer = await RawPeer.connect(tcpPort);
    this.#ends.push(() => peer.close());
    const app = new App(whole.path());
    this.#ends.push(() => app.close());
    await whole.portIs('is up', ({ state }) => state === 'up');
    this.#neighbours.push(
      new Neighbour('the port beside', writerOf(peer), () => takenOf(peer)),
      new Neighbour(
        'the tty beside',
        (bytes) => app.write(bytes),
        () => readOf(app),
      ),
    );
    // What the first blocks take is not the flood's.
    await this.#echoes(async () => {});
    this.#memoryBefore = whole.daemon.memory;
  }

  #makeLine(name: string): string {
    const line = new SerialLine();
    this.#lines.set(name, line);
    this.#ends.push(() => line.unplug());
    return line.path;
  }

  get whole(): Whole {
    if (this.#whole === undefined) throw new Error('no daemon');
    return this.#whole;
  }

  /** What is at the end of a port. */
  line(name: string): SerialLine {
    const line = this.#lines.get(name);
    if (line === undefined) throw new Error(`no port ${name}`);
    return line;
  }

  async port(name: string): Promise<SerialPortView> {
    const number = this.#names.indexOf(name) + 1;
    const view = (await this.whole.client.serialPorts()).find(({ port }) => port === number);
    if (view === undefined) throw new Error(`no port ${name}`);
    return view;
  }

  async portIs(name: string, what: string, is: (view: SerialPortView) => boolean): Promise<SerialPortView> {
    let view: SerialPortView | undefined;
    await eventually(
      () => `${name} ${what}: ${JSON.stringify(view)}\n${this.whole.daemon.stderr}`,
      async () => {
        view = await this.port(name);
        return is(view);
      },
    );
    return view ?? this.port(name);
  }

  /** Neither neighbour notices the flood, and the daemon is what it was before. */
  async floods(flood: () => Promise<unknown>): Promise<void> {
    const { daemon } = this.whole;
    const said = daemon.stderr.length;
    const had = daemon.descriptors;
    await this.#echoes(flood);
    const news = daemon.stderr.slice(said);
    expect(daemon.end, news).toBeUndefined();
    expect(daemon.memory - this.#memoryBefore, 'bytes that the daemon grew by').toBeLessThan(MOST_GROWTH);
    expect(news.length, news).toBeLessThan(MOST_LOG_BYTES);
    expect(news.split('\n').length, news).toBeLessThan(MOST_LOG_LINES);
    await eventually(
      () => `${daemon.descriptors} descriptors, and ${had} before`,
      () => daemon.descriptors <= had + SPARE_DESCRIPTORS,
    );
  }

  async #echoes(flood: () => Promise<unknown>): Promise<void> {
    for (const neighbour of this.#neighbours) neighbour.start();
    try {
      await flood();
    } finally {
      await Promise.all(this.#neighbours.map((neighbour) => neighbour.stop()));
    }
  }

  /**
   * Sends, in a flood, until nothing more is taken while the neighbours have their echoes: who does not read is not read from, or is
   * disconnected. A daemon that is busy does not read either.
   */
  async holdsUp(socket: Socket, bytes: (n: number) => Uint8Array): Promise<void> {
    const taken = () => socket.bytesWritten - socket.writableLength;
    const echoes = () => this.#neighbours[0]?.blocks ?? 0;
    let [before, echoed, same] = [-1, 0, 0];
    await eventually(
      () => `nothing more is taken: ${taken()} bytes until now`,
      async () => {
        await floodSocket(socket, 100, bytes);
        if (taken() !== before) same = 0;
        else if (echoes() > echoed) same++;
        before = taken();
        echoed = echoes();
        return socket.closed || (same === UNCHANGED && socket.writableLength > 0);
      },
    );
  }

  /** Bytes go through a port both ways, whatever else still comes. */
  async speaks(name: string, client: { send(bytes: Buffer): void; readonly received: Buffer }): Promise<void> {
    const line = this.line(name);
    client.send(Buffer.from(' to the line of '.concat(name)));
    await eventually(
      () =>
        `${name}: its line has what a client sends: ${JSON.stringify(line.received.subarray(-80).toString('latin1'))}`,
      () => line.received.includes(`to the line of ${name}`),
    );
    line.send(` from the line of ${name}`);
    await eventually(
      () =>
        `${name}: a client has what its line says: ${JSON.stringify(client.received.subarray(-80).toString('latin1'))}`,
      () => client.received.includes(`from the line of ${name}`),
    );
    line.forget();
  }

  /** Fails where a neighbour has got more than it sent. */
  async close(): Promise<void> {
    let more: number[] = [];
    try {
      more = this.#neighbours.map(({ read }) => read().length);
    } finally {
      for (const end of this.#ends.splice(0).reverse()) await end();
      await this.#whole?.close();
    }
    expect(
      more.filter((bytes) => bytes > 0),
      'bytes that nobody sent',
    ).toEqual([]);
  }
}

const writerOf = (peer: RawPeer) => (bytes: Buffer) => {
  peer.send(bytes);
  return bytes.length;
};

function takenOf(peer: RawPeer): Buffer {
  if (peer.ended) throw new Error('the port beside: the connection has ended');
  const bytes = peer.received;
  peer.segments.length = 0;
  return bytes;
}

function readOf(app: App): Buffer {
  const bytes = app.read();
  if (bytes === undefined) throw new Error('the tty beside: hung up');
  return bytes;
}
