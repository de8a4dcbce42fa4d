// A client of RFC 2217 that a test leads byte by byte: it has agreed to COM-PORT, and knows nothing else.
import { RawPeer } from './raw-peer.js';

export const com = (text: string) => `fffa2c${text.replaceAll(' ', '')}fff0`;

/** What our server says at first: WILL BINARY SGA ECHO, DO BINARY SGA COM-PORT. */
export const GREETING = 'fffb00fffb03fffb01fffd00fffd03fffd2c';
const WILL_COM_PORT = 'fffb2c';

const bytesOf = (text: string) => text.length / 2;

/** Throws where the server says anything but what it should. Nothing that it said is left. */
export async function agreedClient(port: number) {
  const peer = await RawPeer.connect(port);
  const greeting = (await peer.take(bytesOf(GREETING))).toString('hex');
  if (greeting !== GREETING) throw new Error(`greeted by ${greeting}`);
  // It was asked for, so it is answered by the lines alone.
  const lines = await peer.ask(WILL_COM_PORT, bytesOf(com('6b 00')));
  if (!/^fffa2c6b..fff0$/.test(lines)) throw new Error(`COM-PORT was answered by ${lines}`);
  peer.forget();
  return {
    peer,
    /** Throws where the answer is another. */
    async ask(command: string, answer: string) {
      const answered = await peer.ask(com(command), bytesOf(com(answer)));
      if (answered !== com(answer)) throw new Error(`${command} was answered by ${answered}`);
    },
    tell: (command: string) => peer.send(com(command)),
  };
}
