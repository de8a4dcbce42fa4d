// Ends a connection that the server has had enough of: what was written goes out still, but nobody waits for a peer that does not read.
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.js';

/** Who does not take what is left for it, or does not end its side, is not waited for any longer. */
const ENDING_MS = 1000;

/** Nothing is to be written any more. 'close' follows, within a second, whatever the peer does. */
export function hangUp(socket: Socket, clock: Clock): void {
  if (socket.destroyed) return;
  socket.destroySoon();
  const patience = clock.after(ENDING_MS, () => socket.destroy());
  socket.once('close', () => patience.cancel());
}
