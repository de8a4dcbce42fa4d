// The kernel's side of a virtual FTDI adapter, as far as tests need it on a machine whose kernel has no vhci: it sends what
// ftdi_sio sends, in its order, and gives each port to an application as a descriptor. The guest tests run the real one.
import { Socket } from 'node:net';
import { closeFd, dup, outputQueue, shutdownFd, socketPair } from '../../src/native/socket.js';
import { divisorCode } from '../../src/protocol/ftdi/baud-rate.js';

const HEADER = 48;
const OUT_BYTES = 256;
/** The driver has no more transfers out at a time. */
const OUT_TRANSFERS = 2;

interface Transfer {
  readonly done: (status: number, data: Buffer) => void;
  readonly expectsData: boolean;
}

export interface DriverApp {
  readonly fd: number;
  setRate(baudRate: number): Promise<void>;
  /** The line request: data bits, parity 0..4, stop 0 or 2, break. */
  line(value: number): Promise<void>;
  lines(value: number): Promise<void>;
  flow(value: number, index: number): Promise<void>;
  /** The two status bytes. */
  status(): Promise<Buffer>;
  close(): void;
}

export class FtdiDriver {
  readonly #socket: Socket;
  readonly #transfers = new Map<number, Transfer>();
  /** Status packets without data, by port. */
  readonly packets: Buffer[][] = [];
  readonly #unlinks = new Map<number, number>();
  #seqnum = 0;
  #pending = Buffer.alloc(0);
  readonly #ports = new Map<number, Port>();
  ended = false;

  constructor(fd: number) {
    this.#socket = new Socket({ fd });
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.ended = true;
      for (const port of this.#ports.values()) port.hangUp();
    });
  }

  /** A control request to the port of an interface; resolves with the status and what came. */
  control(
    index: number,
    request: number,
    value: number,
    high = 0,
    inBytes = 0,
  ): Promise<{ status: number; data: Buffer }> {
    const setup = Buffer.alloc(8);
    setup[0] = inBytes > 0 ? 0xc0 : 0x40;
    setup[1] = request;
    setup.writeUInt16LE(value & 0xffff, 2);
    setup.writeUInt16LE((high << 8) | (index + 1), 4);
    setup.writeUInt16LE(inBytes, 6);
    return new Promise((resolve) => {
      this.#submit(0, inBytes > 0, inBytes, setup, undefined, (status, data) => resolve({ status, data }));
    });
  }

  open(index: number): DriverApp {
    const port = this.#ports.get(index) ?? new Port(this, index);
    this.#ports.set(index, port);
    return port.open();
  }

  close(): void {
    this.#socket.destroy();
    for (const port of this.#ports.values()) port.end();
  }

  in(index: number, done: (status: number, data: Buffer) => void): number {
    return this.#submit(index + 1, true, 512, undefined, undefined, done);
  }

  out(index: number, bytes: Buffer, done: () => void): void {
    this.#submit(index + 1, false, bytes.length, undefined, bytes, done);
  }

  unlink(target: number): void {
    // An answer that is on its way already is one to a transfer that is still known.
    const transfer = this.#transfers.get(target);
    if (transfer) this.#transfers.set(target, { ...transfer, done: () => {} });
    const head = Buffer.alloc(HEADER);
    head.writeUInt32BE(2, 0);
    head.writeUInt32BE(++this.#seqnum, 4);
    head.writeUInt32BE(target, 20);
    this.#unlinks.set(this.#seqnum, target);
    this.#socket.write(head);
  }

  #submit(
    endpoint: number,
    isIn: boolean,
    length: number,
    setup: Buffer | undefined,
    data: Buffer | undefined,
    done: Transfer['done'],
  ): number {
    const seqnum = ++this.#seqnum;
    const head = Buffer.alloc(HEADER);
    head.writeUInt32BE(1, 0);
    head.writeUInt32BE(seqnum, 4);
    head.writeUInt32BE(isIn ? 1 : 0, 12);
    head.writeUInt32BE(endpoint, 16);
    head.writeUInt32BE(length, 24);
    setup?.copy(head, 40);
    this.#transfers.set(seqnum, { done, expectsData: isIn });
    this.#socket.write(data ? Buffer.concat([head, data]) : head);
    return seqnum;
  }

  #receive(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= HEADER) {
      const command = this.#pending.readUInt32BE(0);
      const seqnum = this.#pending.readUInt32BE(4);
      const transfer = command === 3 ? this.#transfers.get(seqnum) : undefined;
      // The kernel gives a device up that answers what it was not asked.
      if (command === 3 && !transfer) throw new Error(`an answer to nothing: ${seqnum}`);
      const bytes = transfer?.expectsData ? this.#pending.readUInt32BE(24) : 0;
      if (this.#pending.length < HEADER + bytes) return;
      const data = this.#pending.subarray(HEADER, HEADER + bytes);
      const status = this.#pending.readInt32BE(20);
      this.#pending = this.#pending.subarray(HEADER + bytes);
      this.#transfers.delete(command === 4 ? (this.#unlinks.get(seqnum) ?? -1) : seqnum);
      transfer?.done(status, data);
    }
  }
}

class Port {
  readonly #driver: FtdiDriver;
  readonly #index: number;
  readonly #apps = new Set<DriverApp>();
  #near: Socket | undefined;
  #far = -1;
  #reads: number[] = [];
  #writes = 0;
  #fifo = Buffer.alloc(0);
  #flow: NodeJS.Timeout | undefined;

  constructor(driver: FtdiDriver, index: number) {
    this.#driver = driver;
    this.#index = index;
    driver.packets[index] = [];
  }

  open(): DriverApp {
    if (this.#apps.size === 0) this.#first();
    const fd = dup(this.#far);
    const ask = (request: number, value: number, high = 0) =>
      this.#driver.control(this.#index, request, value, high).then(() => {});
    let held = true;
    const app: DriverApp = {
      fd,
      setRate: (rate) => ask(3, divisorCode(rate), divisorCode(rate) >> 16),
      line: (value) => ask(4, value),
      lines: (value) => ask(1, value),
      flow: (value, index) => ask(2, value, index >> 8),
      status: () => this.#driver.control(this.#index, 5, 0, 0, 2).then(({ data }) => Buffer.from(data)),
      close: () => {
        if (held) closeFd(fd);
        held = false;
        if (this.#apps.delete(app) && this.#apps.size === 0) this.#last();
      },
    };
    this.#apps.add(app);
    return app;
  }

  hangUp(): void {
    if (this.#far >= 0) shutdownFd(this.#far, 'both');
  }

  end(): void {
    clearInterval(this.#flow);
    this.#near?.destroy();
    if (this.#far >= 0) closeFd(this.#far);
    this.#far = -1;
  }

  #first(): void {
    this.end();
    const [near, far] = socketPair();
    this.#far = far;
    this.#near = new Socket({ fd: near });
    this.#near.on('error', () => {});
    this.#fifo = Buffer.alloc(0);
    this.#near.on('data', (chunk) => {
      this.#fifo = Buffer.concat([this.#fifo, chunk]);
      this.#near?.pause();
      this.#write();
    });
    void this.#driver.control(this.#index, 0, 0);
    void this.#driver.control(this.#index, 4, 0x0008);
    void this.#driver.control(this.#index, 3, divisorCode(9600), divisorCode(9600) >> 16);
    void this.#driver.control(this.#index, 1, 0x0303);
    void this.#driver.control(this.#index, 2, 0);
    this.#reads = [];
    this.#read();
    this.#read();
  }

  #write(): void {
    while (this.#writes < OUT_TRANSFERS && this.#fifo.length > 0) {
      this.#writes++;
      this.#driver.out(this.#index, Buffer.from(this.#fifo.subarray(0, OUT_BYTES)), () => {
        this.#writes--;
        this.#write();
      });
      this.#fifo = this.#fifo.subarray(OUT_BYTES);
    }
    if (this.#fifo.length === 0) this.#near?.resume();
  }

  #read(): void {
    const seqnum = this.#driver.in(this.#index, (_, data) => {
      this.#reads = this.#reads.filter((n) => n !== seqnum);
      if (data.length === 2) this.#driver.packets[this.#index]?.push(Buffer.from(data));
      this.#near?.write(Buffer.from(data.subarray(2)));
      this.#read();
    });
    this.#reads.push(seqnum);
  }

  /** The last close: what was written leaves, the lines drop, the reads are taken back. */
  #last(): void {
    this.#flow = setInterval(() => {
      if (this.#writes > 0 || this.#fifo.length > 0 || (this.#far >= 0 && outputQueue(this.#far) > 0)) return;
      clearInterval(this.#flow);
      void this.#driver.control(this.#index, 1, 0x0300).then(() => {
        for (const seqnum of this.#reads) this.#driver.unlink(seqnum);
        this.#reads = [];
      });
    }, 1);
  }
}
