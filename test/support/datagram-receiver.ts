// A unix datagram socket in another process, as journald's is: binds, reads only when told to, and hands over what came.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
for line in sys.stdin:
    s.settimeout(5 if line.strip() == 'one' else 0)
    while True:
        try:
            print(s.recv(1 << 20).hex(), flush=True)
        except (BlockingIOError, TimeoutError):
            break
        if line.strip() == 'one':
            break
    print('end', flush=True)
`;

export class DatagramReceiver {
  readonly #child;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};

  private constructor(path: string) {
    this.#child = spawn('/usr/bin/python3', ['-c', RECEIVER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      this.#lines.push(...parts);
      this.#wake();
    });
  }

  static async bind(path: string): Promise<DatagramReceiver> {
    const receiver = new DatagramReceiver(path);
    await receiver.#next();
    return receiver;
  }

  /** Waits for one datagram. */
  async one(): Promise<Buffer> {
    const [first] = await this.#ask('one');
    if (first === undefined) throw new Error('no datagram');
    return first;
  }

  /** All that is there now. */
  all(): Promise<Buffer[]> {
    return this.#ask('all');
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.kill();
    await ended;
  }

  async #ask(what: string): Promise<Buffer[]> {
    this.#child.stdin.write(`${what}\n`);
    const got: Buffer[] = [];
    for (let line = await this.#next(); line !== 'end'; line = await this.#next()) got.push(Buffer.from(line, 'hex'));
    return got;
  }

  async #next(): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Reads the journal's native protocol by its description, and throws at what breaks it. */
export function decodeEntry(bytes: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) throw new Error('a field does not end');
    const line = bytes.subarray(at, end).toString();
    const equals = line.indexOf('=');
    const name = equals < 0 ? line : line.slice(0, equals);
    if (!/^[A-Z0-9][A-Z0-9_]{0,63}$/.test(name)) throw new Error(`no name of a field: ${name}`);
    if (equals >= 0) {
      fields[name] = line.slice(equals + 1);
      at = end + 1;
      continue;
    }
    const length = Number(bytes.readBigUInt64LE(end + 1));
    const from = end + 9;
    if (bytes[from + length] !== 0x0a) throw new Error(`${name} does not end where it says`);
    fields[name] = bytes.subarray(from, from + length).toString();
    at = from + length + 1;
  }
  return fields;
}
