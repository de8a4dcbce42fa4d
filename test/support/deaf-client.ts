// A client of a served port that reads nothing any more, and a line that goes on speaking.
import type { PortServer } from '../../src/serve/port-server.js';
import { sleep, holds as until } from './leftovers.js';
import type { RawPeer } from './raw-peer.js';
import type { SerialLine } from './serial-line.js';

/** The line says all that the network takes for the first client, and more; until that client is disconnected, or nothing moves. */
export async function speakToDeaf(server: PortServer, line: SerialLine): Promise<void> {
  for (let last = -1; server.clients[0] !== undefined && last !== server.clients[0].sent; await sleep(50)) {
    last = server.clients[0].sent;
    line.send(Buffer.alloc(100_000));
  }
}

/** Inactivity ends such a client, what the line has for it is no matter, and the next one hears the line. */
export async function deafClientIsEnded(server: PortServer, line: SerialLine, client: () => Promise<RawPeer>) {
  const deaf = await client();
  deaf.socket.pause();
  await speakToDeaf(server, line);
  await until(() => server.clients.length === 0);
  await until(() => line.unsent === 0);
  const next = await client();
  line.send('next');
  await until(() => next.received.toString().endsWith('next'));
}
