// What a network, or a line, does without end: for a time, and as fast as it is taken. The event loop turns in between, since
// whoever is beside it is in the same process.
import { connect, type Socket } from 'node:net';
import type { SerialLine } from './serial-line.js';

/** What waits is written in one piece, and is no less until all of that is taken. */
const MOST_UNSENT = 32 * 1024;
/** 921,600 baud. */
const LINE_BYTES_PER_MS = 92;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Again and again until the time is over and it was done `atLeast` times, however busy the machine is; resolves with how often. */
export async function flood(ms: number, once: (n: number) => unknown, atLeast = 0): Promise<number> {
  const end = performance.now() + ms;
  let n = 0;
  for (; performance.now() < end || n < atLeast; n++) {
    await once(n);
    await turn();
  }
  return n;
}

/** Sends `bytes` for so long as there is room for them, and until it is `enough`. Resolves with how many bytes there were. */
export async function floodSocket(
  socket: Socket,
  ms: number,
  bytes: (n: number) => Uint8Array,
  enough = () => true,
): Promise<number> {
  const before = socket.bytesWritten;
  const some = (n: number) => {
    if (!socket.destroyed && socket.writableLength < MOST_UNSENT) socket.write(bytes(n));
  };
  await flood(ms, some);
  while (!enough()) await flood(10, some);
  return socket.bytesWritten - before;
}

/** The device says `bytes` as fast as a serial line is, for so long as it is read. Resolves with how many bytes there were. */
export async function floodLine(line: SerialLine, ms: number, bytes: string): Promise<number> {
  const began = performance.now();
  let sent = 0;
  await flood(ms, () => {
    if (line.unsent > 0 || sent > (performance.now() - began) * LINE_BYTES_PER_MS) return;
    line.send(bytes);
    sent += bytes.length;
  });
  return sent;
}

/** One that comes and goes at once, by FIN and by RST in turn. Resolves when it is gone; a refused one is none. */
export function comesAndGoes(port: number, n: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('connect', () => {
      socket.write('here');
      if (n % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    });
  });
}

/** Bytes without a meaning, the same at each run. */
export function garbage(bytes: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}
