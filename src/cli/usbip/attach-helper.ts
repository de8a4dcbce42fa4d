// The root helper's work on a listening socket: who asks, what it asks, and the device into the kernel. Takes requests of one
// user alone; a request is one line, and few wait at once. Loads no module and starts no program. See docs/usbip-helper.md.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import { closeFd } from '../../native/socket.js';
import { acceptConnection, awaitReadable, peerCredentials, sendNow } from '../../native/unix-socket.js';
import {
  type AttachRequest,
  encodeLine,
  type HelperAnswer,
  parseRequest,
  type RefusalCode,
} from '../../tty/usbip/attach-line.js';
import { MANUFACTURER, PRODUCT_ID, VENDOR_ID } from '../../tty/usbip/identity.js';
import { readLine } from '../../tty/usbip/line-reader.js';
import { missingModule, missingText } from '../../tty/usbip/modules.js';
import { admit, closeHubs } from './admission.js';
import { candidates, Vhci, type VhciPort, writeAttribute, writeSlowAttribute } from './vhci.js';

const REQUEST_MS = 2000;
const MAX_CONNECTIONS = 32;
const MAX_ADMISSIONS = 64;
const MAX_SAID = 64;
const TICK_MS = 500;
const BUSY_MS = 50;
const READY_TRIES = 40;

export interface AttachHelperOptions {
  /** Whose requests are taken: nobody else's, root's neither. */
  readonly uid: number;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** Where sysfs is mounted. */
  readonly sys?: string;
  readonly vhci?: Vhci;
}

export class AttachHelper {
  readonly #uid: number;
  readonly #clock: Clock;
  readonly #log: (line: string) => void;
  readonly #sys: string;
  readonly #vhci: Vhci;
  readonly #connections = new Set<Promise<void>>();
  readonly #admissions = new Set<Promise<void>>();
  #devices = 0;
  /** Why nothing could be plugged in since something was. */
  readonly #said = new Set<string>();

  constructor({ uid, clock, log, sys = '/sys', vhci = new Vhci(sys) }: AttachHelperOptions) {
    this.#uid = uid;
    this.#clock = clock;
    this.#log = log;
    this.#sys = sys;
    this.#vhci = vhci;
  }

  /**
   * Serves a listening socket until the signal is aborted, or until nobody has asked for `idleMs`; what has begun ends
   * first. The socket stays open and the caller's.
   */
  async serve(listener: number, signal: AbortSignal, idleMs = Number.POSITIVE_INFINITY): Promise<void> {
    let quietSince = this.#clock.now();
    while (!signal.aborted && this.#clock.now() - quietSince < idleMs) {
      if (this.#connections.size >= MAX_CONNECTIONS) await Promise.race(this.#connections);
      const asked = await awaitReadable(listener, TICK_MS);
      if (asked) this.#accept(listener, signal);
      if (asked || this.#connections.size + this.#admissions.size > 0) quietSince = this.#clock.now();
    }
    await Promise.all([...this.#connections]);
    await Promise.all([...this.#admissions]);
  }

  #accept(listener: number, signal: AbortSignal): void {
    const fd = acceptConnection(listener);
    if (fd === undefined) return;
    keep(this.#connections, this.#connection(fd, signal));
  }

  /** Never rejects, and leaves no descriptor. */
  async #connection(fd: number, signal: AbortSignal): Promise<void> {
    try {
      const refusal = await this.#serveOne(fd, signal);
      if (refusal !== undefined) {
        this.#sayOnce(refusal.message);
        sendNow(fd, encodeLine({ ok: false, ...refusal }));
      }
    } catch (error) {
      this.#sayOnce(`a request failed: ${messageOf(error)}`);
    } finally {
      closeFd(fd);
    }
  }

  /** A daemon asks again every second, for as long as it takes. */
  #sayOnce(message: string): void {
    if (this.#said.size >= MAX_SAID) this.#said.clear();
    if (!this.#said.has(message)) this.#log(message);
    this.#said.add(message);
  }

  async #serveOne(fd: number, signal: AbortSignal): Promise<Refusal | undefined> {
    const { uid, pid } = peerCredentials(fd);
    if (uid !== this.#uid) {
      const how = `only user ${this.#uid} may (--user of ttynp usbip-attach)`;
      return { code: 'refused', message: `user ${uid} (process ${pid}) may not plug in devices: ${how}` };
    }
    const read = await readLine(fd, { timeoutMs: REQUEST_MS, signal });
    if (typeof read === 'string') return { code: 'request', message: `process ${pid} sent no request (${read})` };
    const request = parseRequest(read.line);
    if (typeof request === 'string') return { code: 'request', message: `no request: ${request}` };
    if ('names' in request) {
      sendNow(fd, encodeLine({ ok: true, ttys: await this.#tellNames() }));
      return undefined;
    }
    if ('probe' in request) {
      const missing = missingModule(this.#sys);
      if (missing !== undefined) return { code: 'missing', message: missingText(missing) };
      sendNow(fd, encodeLine({ ok: true }));
      return undefined;
    }
    return this.#attach(fd, request);
  }

  async #attach(fd: number, request: AttachRequest): Promise<Refusal | undefined> {
    const missing = missingModule(this.#sys);
    if (missing !== undefined) return { code: 'missing', message: missingText(missing) };
    if (this.#admissions.size >= MAX_ADMISSIONS)
      return { code: 'failed', message: 'too many devices at once: try again' };
    try {
      this.#announceIds();
      closeHubs(this.#vhci);
    } catch (error) {
      return { code: 'failed', message: `${request.serial}: ${messageOf(error)}: runs the helper as root?` };
    }
    const ports = candidates(this.#vhci.ports(), request.speed);
    const [first] = ports;
    if (first === undefined) return { code: 'full', message: this.#fullText(request) };
    // Before the kernel has the connection: from then on every byte is its own.
    const answer: HelperAnswer = { ok: true, speed: first.speed };
    sendNow(fd, encodeLine(answer));
    await this.#plugIn(fd, ports, request);
    return undefined;
  }

  /** What fails now is an end of the connection for who asked. */
  async #plugIn(fd: number, ports: readonly VhciPort[], request: AttachRequest): Promise<void> {
    const devid = ((process.pid & 0x7fff) << 16) | (++this.#devices & 0xffff);
    for (const port of ports) {
      const code = await this.#attachTo(port, fd, devid);
      if (code === 'EBUSY') continue;
      if (code !== undefined) throw new Error(`${request.serial}: port ${port.number}: attach: ${code}`);
      this.#said.clear();
      keep(this.#admissions, this.#admit(port, devid, request));
      return;
    }
    throw new Error(this.#fullText(request));
  }

  /** The errno where it does not work, undefined where it does. */
  async #attachTo(port: VhciPort, fd: number, devid: number): Promise<string | undefined> {
    for (let tries = 1; ; tries++) {
      try {
        this.#vhci.attach(port, fd, devid);
        return undefined;
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
        // The controller is not ready yet.
        if (code !== 'EAGAIN' || tries === READY_TRIES) return code;
        await sleep(this.#clock, BUSY_MS);
      }
    }
  }

  async #admit(port: VhciPort, devid: number, request: AttachRequest): Promise<void> {
    const where = `${request.serial}: port ${port.number} (${port.speed} speed)`;
    const options = { vhci: this.#vhci, sys: this.#sys, clock: this.#clock };
    const { ok, text } = await admit(options, port, devid, request);
    this.#log(ok ? `${where}: plugged in, ${request.interfaces} ttys` : `${where}: not let in: ${text}`);
  }

  #fullText({ serial, speed }: AttachRequest): string {
    const all = this.#vhci.ports().filter((port) => speed === 'any' || port.speed === speed);
    const which = speed === 'any' ? '' : ` ${speed} speed`;
    return `${serial}: all ${all.length}${which} ports of vhci_hcd are taken (usbip port lists them): use fewer ttys, or backend pty`;
  }

  /** ftdi_sio knows our ids only when it is told, once after it was loaded. */
  #announceIds(): void {
    const file = join(this.#sys, 'bus/usb-serial/drivers/ftdi_sio/new_id');
    const ids = [VENDOR_ID, PRODUCT_ID].map((id) => id.toString(16).padStart(4, '0')).join(' ');
    if (
      !readFileSync(file, 'latin1')
        .split('\n')
        .some((line) => line.startsWith(ids))
    )
      writeAttribute(file, ids);
  }

  /** Returns how many ttys of ours udev has been told of. */
  async #tellNames(): Promise<number> {
    const files = this.#vhci.ports().flatMap(({ free, devicePath }) => (free ? [] : ueventFiles(devicePath)));
    for (const file of files) await writeSlowAttribute(file, 'change');
    return files.length;
  }
}

interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

function keep(set: Set<Promise<void>>, work: Promise<void>): void {
  const kept = work.finally(() => set.delete(kept));
  set.add(kept);
}

/** .../1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0/uevent */
function ueventFiles(devicePath: string): string[] {
  try {
    if (readFileSync(join(devicePath, 'manufacturer'), 'utf8').trim() !== MANUFACTURER) return [];
    return below(devicePath, /:\d+\.\d+$/)
      .flatMap((path) => below(path, /^ttyUSB\d+$/))
      .flatMap((path) => below(join(path, 'tty'), /^ttyUSB\d+$/))
      .map((path) => join(path, 'uevent'));
  } catch {
    return []; // unplugged meanwhile
  }
}

function below(directory: string, names: RegExp): string[] {
  return readdirSync(directory)
    .filter((name) => names.test(name))
    .map((name) => join(directory, name));
}
