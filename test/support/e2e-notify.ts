// The service manager's end of $NOTIFY_SOCKET: Node has no datagram sockets of the unix kind, Python has.
import { join } from 'node:path';
import { Child, eventually } from './e2e-process.js';

const RECEIVER = `
import socket, sys, json
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

export class NotifySocket {
  readonly path: string;
  readonly #child: Child;

  private constructor(dir: string) {
    this.path = join(dir, 'notify.sock');
    this.#child = new Child(['/usr/bin/python3', '-u', '-c', RECEIVER, this.path]);
  }

  static async bind(dir: string): Promise<NotifySocket> {
    const notify = new NotifySocket(dir);
    await eventually('the notify socket is bound', () => notify.#child.stdout.startsWith('bound'));
    return notify;
  }

  /** What was told, in order. */
  get datagrams(): string[] {
    const complete = this.#child.stdout.slice(0, this.#child.stdout.lastIndexOf('\n') + 1);
    return complete
      .split('\n')
      .slice(1, -1)
      .map((line) => String(JSON.parse(line)));
  }

  until(what: string, found: (datagrams: string[]) => boolean, timeoutMs = 10_000): Promise<boolean> {
    return eventually(
      () => `${what}: ${JSON.stringify(this.datagrams)}`,
      () => found(this.datagrams),
      timeoutMs,
    );
  }

  async close(): Promise<void> {
    this.#child.signal('SIGKILL');
    await this.#child.exit();
  }
}
