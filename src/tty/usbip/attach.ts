// Plugs a virtual device into our kernel without being root: asks the root helper (ttynp usbip-attach) over its socket. The
// connection itself becomes the device's: after the answer the kernel speaks USB/IP on it. Never reads a byte beyond the
// answer, never writes sysfs itself. See docs/usbip-helper.md.
import { Fault } from '../../base/fault.js';
import { closeFd, isSystemError } from '../../native/socket.js';
import { connectUnix, sendNow } from '../../native/unix-socket.js';
import type { Speed } from '../../protocol/usbip/descriptors.js';
import {
  type AttachRequest,
  encodeLine,
  type HelperAnswer,
  type HelperRequest,
  parseAnswer,
  type RefusalCode,
} from './attach-line.js';
import { type NoLine, readLine } from './line-reader.js';

export interface AttachOptions {
  readonly socketPath: string;
  readonly request: AttachRequest;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Resolves with the connection to the kernel, non-blocking and the caller's, and the speed that the device has to have. The
 * kernel asks for its descriptors at once. The helper goes on looking at the device, and unplugs one that is not what was
 * asked for: that is an end of the connection. Rejects with a Fault of one line that says what to do.
 */
export async function attachDevice(options: AttachOptions): Promise<{ fd: number; speed: Speed }> {
  const { fd, answer } = await ask(options, options.request);
  if (answer.speed !== undefined) return { fd, speed: answer.speed };
  closeFd(fd);
  throw new Fault('SYSTEM', `${options.socketPath}: the usbip helper did not say which speed`);
}

/** The map of names has changed: udev looks at our ttys again. Resolves with how many were told. Rejects with a Fault. */
export async function announceNames(options: Omit<AttachOptions, 'request'>): Promise<number> {
  const { fd, answer } = await ask(options, { names: true });
  closeFd(fd);
  return answer.ttys ?? 0;
}

/** Resolves where this machine can be given a device: helper and modules are there. Rejects with a Fault that says why not. */
export async function probeHelper(options: Omit<AttachOptions, 'request'>): Promise<void> {
  const { fd } = await ask(options, { probe: true });
  closeFd(fd);
}

type Granted = Extract<HelperAnswer, { ok: true }>;

async function ask(
  options: Omit<AttachOptions, 'request'>,
  request: HelperRequest,
): Promise<{ fd: number; answer: Granted }> {
  const { socketPath, timeoutMs, signal } = options;
  const fd = connect(socketPath);
  try {
    const read = await sendAndRead(fd, encodeLine(request), timeoutMs, signal);
    if (typeof read === 'string') throw noAnswer(read, socketPath, timeoutMs);
    const answer = parseAnswer(read.line);
    if (answer === undefined) throw new Fault('SYSTEM', `${socketPath}: what answered is no usbip helper of ttynp`);
    if (!answer.ok) throw new Fault(FAULTS[answer.code], answer.message);
    return { fd, answer };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

const FAULTS = {
  refused: 'PERMISSION',
  request: 'SYSTEM',
  missing: 'NOT_SUPPORTED',
  full: 'SYSTEM',
  failed: 'SYSTEM',
} as const satisfies Readonly<Record<RefusalCode, string>>;

async function sendAndRead(fd: number, line: string, timeoutMs: number, signal: AbortSignal | undefined) {
  try {
    sendNow(fd, line);
  } catch (error) {
    // A helper that refuses may have answered and closed already: what it said is there to read.
    if (!isSystemError(error) || (error.code !== 'EPIPE' && error.code !== 'ECONNRESET')) throw error;
  }
  return readLine(fd, { timeoutMs, signal });
}

function connect(path: string): number {
  try {
    return connectUnix(path);
  } catch (error) {
    throw connectFault(error, path);
  }
}

const START = 'systemctl enable --now ttynp-usbip.socket (without systemd, as root: ttynp usbip-attach)';

function connectFault(error: unknown, path: string): Fault {
  const options = { cause: error };
  switch (isSystemError(error) ? error.code : undefined) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new Fault('NO_DAEMON', `no usbip helper listens on ${path}: ${START}`, options);
    case 'EACCES':
    case 'EPERM': {
      const uid = process.geteuid?.() ?? -1;
      const how = 'run the daemon as its owner, or set SocketUser= of ttynp-usbip.socket';
      return new Fault('PERMISSION', `${path}: user ${uid} may not ask the usbip helper: ${how}`, options);
    }
    case 'EAGAIN':
      return new Fault('NO_DAEMON', `${path}: the usbip helper is busy: see systemctl status ttynp-usbip`, options);
    default:
      return new Fault('SYSTEM', `${path}: ${error instanceof Error ? error.message : String(error)}`, options);
  }
}

function noAnswer(why: NoLine, path: string, timeoutMs: number): Fault {
  const see = 'see journalctl -u ttynp-usbip';
  switch (why) {
    case 'aborted':
      return new Fault('CANCELED', `${path}: given up`);
    case 'timeout':
      return new Fault('NO_DAEMON', `${path}: no answer of the usbip helper within ${timeoutMs} ms: ${see}`);
    case 'closed':
      return new Fault('NO_DAEMON', `${path}: the usbip helper closed without an answer: ${see}`);
    case 'too-long':
      return new Fault('SYSTEM', `${path}: what answered is no usbip helper of ttynp`);
    default:
      return why satisfies never;
  }
}
