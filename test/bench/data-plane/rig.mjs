// What the rows and the peers share: the built program's own modules, ttys made raw, TCP ends in this process, child processes
// and what they cost. Decides nothing about what is measured.
import { spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** As the installed ttynpd starts it (install.sh). */
export const DAEMON = ['--max-semi-space-size=1', `${ROOT}dist/daemon.js`];
export const load = await import(`${ROOT}dist/native/load.js`);
export const sockets = await import(`${ROOT}dist/native/socket.js`);
const { getTermios, setTermios } = await import(`${ROOT}dist/native/termios.js`);
export const { acceptConnection, awaitReadable } = await import(`${ROOT}dist/native/unix-socket.js`);
const { TERMIOS } = await import(`${ROOT}dist/serial/termios.js`);

export const MS = 1e6;
export const BAUD = Number(process.env.BAUD ?? 921_600);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks again and again, at most so long. */
export async function until(condition, what, timeoutMs = 20_000, everyMs = 2) {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await sleep(everyMs);
  }
}

/** However this process ends: nothing that it started or made is left. */
const leftovers = new Set();
process.once('exit', () => {
  for (const undo of leftovers) undo();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** Done when the function that it gives is called, or when this process ends. */
export function atEnd(undo) {
  leftovers.add(undo);
  return () => {
    leftovers.delete(undo);
    undo();
  };
}

export function folder() {
  const path = mkdtempSync(join(tmpdir(), 'ttynp-bench-'));
  return { path, remove: atEnd(() => rmSync(path, { recursive: true, force: true })) };
}

/** Non-blocking, raw, at 921600 baud: set once, as an application does when it opens its port. */
export function openTty(path) {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const { CLOCAL, CREAD, ECHO, ICANON, ISIG, OPOST, VMIN, VTIME } = TERMIOS;
  const CBAUD = 0o010017;
  const BOTHER = 0o010000;
  const IEXTEN = 0o100000;
  const before = getTermios(fd);
  const cc = [...before.cc];
  cc[VMIN] = 1;
  cc[VTIME] = 0;
  setTermios(fd, {
    inputSpeed: BAUD,
    outputSpeed: BAUD,
    iflag: 0,
    oflag: (before.oflag & ~OPOST) >>> 0,
    cflag: ((before.cflag & ~CBAUD) | BOTHER | CLOCAL | CREAD) >>> 0,
    lflag: (before.lflag & ~(ECHO | ICANON | ISIG | IEXTEN)) >>> 0,
    cc,
  });
  return fd;
}

/** As an application does that sets c_lflag as a whole. */
export function withoutExtproc(fd) {
  const before = getTermios(fd);
  setTermios(fd, { ...before, lflag: (before.lflag & ~TERMIOS.EXTPROC) >>> 0 });
}

/** Somebody listens there: /proc/net/tcp knows without a connection. */
export function isListening(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`^ *\\d+: [0-9A-F]{8}:${hex} [0-9A-F:]+ 0A `, 'm').test(readFileSync('/proc/net/tcp', 'utf8'));
}

/** Writes the first byte, and returns the server's end: a new connection, or the one that there always is. */
export async function takeOne(tunnel, tty, patienceMs) {
  writeSync(tty, 'x');
  if (tunnel.persistent) {
    const [fd] = await tunnel.far();
    return { fd, drop: () => sockets.discardInput(fd) };
  }
  const [listening] = tunnel.listening();
  if (!(await awaitReadable(listening, patienceMs))) throw new Error('no connection came');
  const fd = acceptConnection(listening);
  return { fd, drop: () => sockets.closeFd(fd) };
}

/** TCP ports of this process that accept one connection each. */
export class Listeners {
  constructor(count) {
    this.fds = Array.from({ length: count }, () => sockets.listenTcp({ host: '127.0.0.1', port: 0 }));
    this.ports = this.fds.map((fd) => sockets.localAddress(fd).port);
  }

  /** A connection on each, in their order. */
  async accept(timeoutMs = 20_000) {
    const accepted = this.fds.map(() => -1);
    await until(
      () => {
        for (const [i, fd] of this.fds.entries()) {
          if (accepted[i] !== -1) continue;
          accepted[i] = acceptConnection(fd) ?? -1;
          if (accepted[i] !== -1) sockets.setSocketOptions(accepted[i], { noDelay: true });
        }
        return !accepted.includes(-1);
      },
      'a connection from the tunnel',
      timeoutMs,
    );
    return accepted;
  }

  close() {
    for (const fd of this.fds) sockets.closeFd(fd);
    this.fds = [];
  }

  /** On the same ports as before. */
  reopen() {
    this.fds = this.ports.map((port) => sockets.listenTcp({ host: '127.0.0.1', port }));
  }
}

export async function connectAll(ports) {
  const fds = [];
  for (const port of ports) {
    const connected = () => sockets.connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000, noDelay: true });
    fds.push(await until(() => connected().catch(() => undefined), `port ${port}`));
  }
  return fds;
}

/** What this process started; each is ended by its own id. */
export class Processes {
  #children = [];

  start(command, args, options = {}) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    child.said = '';
    const note = (text) => {
      child.said = (child.said + text).slice(-100_000);
    };
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
    const undo = () => child.kill('SIGKILL');
    leftovers.add(undo);
    child.ended = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', resolve); // it never began
    }).then(() => leftovers.delete(undo));
    child.once('error', (error) => note(String(error)));
    this.#children.push(child);
    return child;
  }

  get children() {
    return this.#children;
  }

  get pids() {
    return this.#children.map((child) => child.pid);
  }

  /** Throws where one of them has ended. */
  check() {
    for (const child of this.#children) {
      if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended: ${child.said.slice(-500)}`);
    }
  }

  async stop(signal = 'SIGTERM') {
    for (const child of this.#children) child.kill(signal);
    const timer = setTimeout(() => this.#children.map((child) => child.kill('SIGKILL')), 10_000);
    await Promise.all(this.#children.map((child) => child.ended));
    clearTimeout(timer);
  }
}

export function cpuNs(pids) {
  return pids.reduce((sum, pid) => sum + load.processCpuNs(pid), 0);
}

/** Of all of them: resident, and with what is shared counted once (PSS). */
export function memoryMb(pids) {
  let rss = 0;
  let pss = 0;
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    rss += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    pss += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return { rss: rss / 1024, pss: pss / 1024 };
}

export function closeAll(fds) {
  for (const fd of fds) closeSync(fd);
}

async function carriesAll(a, b) {
  for (const fd of [...a, ...b]) discard(fd);
  const tried = { messageBytes: 16, intervalNs: 50 * MS, durationNs: 500 * MS, drainNs: 500 * MS };
  const run = await load.measureDuplex({ a, b, ...tried });
  return run.received === run.offered && run.wrong === 0;
}

function discard(fd) {
  const bytes = Buffer.alloc(65536);
  try {
    while (readSync(fd, bytes) > 0);
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
  }
}

/**
 * Opens the application's ends, which makes ttynp connect, and takes the far ones. Until a session is up, and the settings of
 * the open are at the device, bytes may be dropped: it is waited until every port carries all of them both ways.
 */
export async function openEnds(tunnel) {
  const near = tunnel.near === undefined ? tunnel.paths.map(openTty) : tunnel.near();
  const far = await tunnel.far();
  await until(() => carriesAll(near, far), 'all bytes on every port', 60_000, 200);
  return {
    near,
    far,
    close() {
      closeAll(this.near);
      for (const fd of this.far) sockets.closeFd(fd);
    },
  };
}
