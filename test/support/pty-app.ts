// What an application does to a tty beyond read and write, by another program that inherits the descriptor or opens
// the path: node has no tcflush. For tests only.
import { spawn, spawnSync } from 'node:child_process';

const PYTHON = '/usr/bin/python3';

/** Runs Python with `fd` as its standard input; `script` uses descriptor 0. Blocks until it ends. */
export function onDescriptor(fd: number, script: string): void {
  // A child's standard input is made blocking, and with it ours, which is the same open file.
  const nonBlocking = 'fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)';
  const run = spawnSync(PYTHON, ['-c', `import fcntl, os, termios, time\n${nonBlocking}\n${script}`], {
    stdio: [fd, 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`python: ${run.stderr}`);
}

/** Runs Python while the event loop goes on. Resolves with what it printed; rejects where it fails. */
export function python(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(PYTHON, ['-c', `import fcntl, os, termios, time\n${script}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0) resolve(out);
      else reject(new Error(`python ended with ${status}: ${err}`));
    });
  });
}
