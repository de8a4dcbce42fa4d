// RFC 2217 servers that others wrote, on loopback: pyserial's, on a loop plug that has modem lines, and ser2net, on a PTY
// whose other end is here. Both are asked what they have, from inside or at the far end.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, eventually } from './e2e-process.js';
import { Python } from './e2e-python.js';
import { freePort } from './free-ports.js';

export interface ForeignServer {
  readonly port: number;
  /** Evaluates in the Python that has the far end: `port` is pyserial's, `master` and `slave` the ends of the PTY. */
  run(code: string): Promise<unknown>;
  close(): Promise<void>;
}

const PYSERIAL = `
import socket, threading, serial.rfc2217
class Connection:
    def __init__(self, sock): self.sock = sock
    def write(self, data): self.sock.sendall(data)
def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    manager = serial.rfc2217.PortManager(port, Connection(sock))
    alive = True
    def lines():
        while alive:
            manager.check_modem_lines()
            time.sleep(0.02)
    def reader():
        while alive:
            data = port.read(port.in_waiting or 1)
            if data: sock.sendall(b''.join(manager.escape(data)))
    threads = [threading.Thread(target=f, daemon=True) for f in (lines, reader)]
    for thread in threads: thread.start()
    try:
        while True:
            data = sock.recv(1024)
            if not data: break
            port.write(b''.join(manager.filter(data)))
    except OSError: pass
    alive = False
    for thread in threads: thread.join()
    sock.close()
def accept():
    while True:
        sock, _ = server.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()
port = serial.serial_for_url('loop://', timeout=0.02)
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=accept, daemon=True).start()
`;

export async function pyserialServer(): Promise<ForeignServer> {
  const python = new Python();
  await python.run(PYSERIAL);
  const port = Number(await python.run('server.getsockname()[1]'));
  return { port, run: (code) => python.run(code), close: () => python.close() };
}

export const hasSer2net = existsSync('/usr/sbin/ser2net');

const PTY = `
import tty
master, slave = os.openpty()
tty.setraw(slave)
os.set_blocking(master, False)
def take():
    try: return os.read(master, 65536)
    except BlockingIOError: return b''
`;

/** @param accepter "telnet(rfc2217),tcp" or "tcp" */
export async function ser2net(accepter: string): Promise<ForeignServer> {
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-ser2net-'));
  const python = new Python();
  await python.run(PTY);
  const device = await python.run('os.ttyname(slave)');
  const port = await freePort();
  const file = join(dir, 'ser2net.yaml');
  writeFileSync(
    file,
    `%YAML 1.1\n---\nconnection: &one\n  accepter: ${accepter},127.0.0.1,${port}\n  connector: serialdev,${device},9600n81,local\n`,
  );
  const child = new Child(['/usr/sbin/ser2net', '-n', '-d', '-c', file]);
  const listening = async () => {
    const probe = new Child(['ss', '-ltnH', `sport = :${port}`]);
    await probe.exit();
    return probe.stdout !== '';
  };
  let ready = false;
  const look = async () => {
    while (!ready && child.end === undefined) ready = await listening();
  };
  void look();
  await eventually(
    () => `ser2net: ${child.stdout}${child.stderr}`,
    () => ready || undefined,
  );
  return {
    port,
    run: (code) => python.run(code),
    close: async () => {
      child.signal('SIGTERM');
      await child.exit();
      await python.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
