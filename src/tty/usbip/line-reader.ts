// Reads one line from a socket and not a byte more: what follows on it belongs to the kernel. The descriptor stays open and
// its owner's; one line per descriptor.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { dup } from '../../native/socket.js';
import { MAX_LINE_BYTES } from './attach-line.js';

const NEWLINE = 0x0a;

/** Why there is no line: the time is over, the peer has closed, it is too long, or `signal` was aborted. */
export type NoLine = 'timeout' | 'closed' | 'too-long' | 'aborted';

export interface ReadLineOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The line without its end. Throws a SystemError where no descriptor is left. */
export function readLine(fd: number, options: ReadLineOptions): Promise<{ line: string } | NoLine> {
  if (options.signal?.aborted === true) return Promise.resolve('aborted');
  const copy = dup(fd);
  return new Promise((resolve) => {
    const line: number[] = [];
    // One byte at a time: whatever libuv has asked the kernel for beyond the line would be lost to its reader.
    const buffer = Buffer.alloc(1);
    const take = () => {
      const byte = buffer[0] ?? NEWLINE;
      if (byte === NEWLINE) end({ line: Buffer.from(line).toString('utf8') });
      else if (line.push(byte) > MAX_LINE_BYTES) end('too-long');
      return byte !== NEWLINE && line.length <= MAX_LINE_BYTES;
    };
    const socketOptions: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd: copy,
      onread: { buffer, callback: take },
    };
    const socket = new Socket(socketOptions);
    const end = (result: { line: string } | NoLine) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      // Closes the copy and nothing else: no shutdown(2), which would reach the other descriptor too.
      socket.destroy();
      resolve(result);
    };
    const onAbort = () => end('aborted');
    const timer = setTimeout(() => end('timeout'), options.timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('error', () => end('closed'));
    socket.on('end', () => end('closed'));
    socket.on('close', () => end('closed'));
    socket.read(0);
  });
}
