// A PTY whose other end a Python program serves: what comes back is up to a line of Python. In a process of its own,
// because who reads the PTY may block the test's event loop on purpose.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export class EchoTty {
  private constructor(
    readonly path: string,
    readonly pid: number,
    readonly child: ChildProcess,
  ) {}

  /** @param reply a Python expression of `data`, the bytes that came, and `n`, how many came before them */
  static async start(reply = 'data'): Promise<EchoTty> {
    const program = `
import os, select, sys, termios, tty
master, slave = os.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
n = 0
while True:
    ready, _, _ = select.select([master, 0], [], [])
    if 0 in ready: break
    data = os.read(master, 4096)
    answer = ${reply}
    n += len(data)
    if answer: os.write(master, answer)
`;
    const child = spawn('/usr/bin/python3', ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    return new EchoTty(String(line).trim(), child.pid ?? 0, child);
  }

  async end(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.stdin?.end();
    await ended;
  }
}
