// A child of test/long/hour.test.ts: a device server of raw TCP, whose serial ports are loop plugs. argv: first TCP port, how many.
import { createServer } from 'node:net';

const [first, count] = process.argv.slice(2).map(Number);
for (let i = 0; i < count; i++) {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise((resolve) => server.listen(first + i, '127.0.0.1', resolve));
}
process.stdout.write('ready\n');
