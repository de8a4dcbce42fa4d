// A modem whose terminal floods it, or that is called without end, and its neighbours do not notice; afterwards it dials and rings as
// it did.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { comesAndGoes, flood, floodLine } from '../support/floods.js';
import { freePort } from '../support/free-ports.js';
import { Neighbourhood } from '../support/neighbours.js';
import { RawPeer } from '../support/raw-peer.js';
import type { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
let hood: Neighbourhood;
let line: SerialLine;
let tcpPort = 0;

beforeAll(async () => {
  tcpPort = await freePort();
  hood = await Neighbourhood.start({ modem: { mode: 'ethernet-modem', tcpPort } });
  line = hood.line('modem');
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(() => hood?.close());

const typed = (text: string) => floodLine(line, 500, text.repeat(40));

/** The terminal types it, and sees this; again where the modem was at something else. */
async function answers(command: string, answer: string): Promise<void> {
  await eventually(
    () => `${JSON.stringify(answer)} in ${JSON.stringify(line.received.subarray(-200).toString('latin1'))}`,
    async () => {
      line.forget();
      line.send(command);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return line.received.includes(answer);
    },
  );
  line.forget();
}

async function sees(what: string): Promise<void> {
  await eventually(
    () => `${what} in ${JSON.stringify(line.received.toString('latin1'))}`,
    () => line.received.includes(what),
  );
  line.forget();
}

/** Who can be dialled, until all are hung up on. */
async function subscriber() {
  const calls = new Set<Socket>();
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    calls.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => calls.delete(socket));
    socket.on('data', (bytes) => heard.push(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hangUp = () => {
    for (const socket of calls) socket.destroy();
    server.close();
  };
  ends.push(hangUp);
  const { port } = server.address() as AddressInfo;
  return { number: `127.0.0.1:${port}`, hangUp, heard: () => Buffer.concat(heard).toString('latin1') };
}

test('callers that come and go', async () => {
  const began = performance.now();
  await hood.floods(async () => {
    await flood(1000, (n) => Promise.all([0, 1, 2, 3].map((i) => comesAndGoes(tcpPort, n + i))), 25);
  });
  const seconds = Math.ceil((performance.now() - began) / 1000);
  expect(line.received.toString().split('RING').length, `rings within ${seconds} s`).toBeLessThan(5 * seconds);
  await answers('\rATE0\r', 'OK\r\n');
});

test('a line of AT without end, from a terminal that reads the answers and from one that does not', async () => {
  await hood.floods(async () => {
    await typed('ATE1V1S0=0');
    line.deaf = true;
    await typed('AT&V\rATI\r');
    line.deaf = false;
  });
  await answers('\rATE0\r', 'OK\r\n');
});

test('ATD without end, to who refuses, to a name that is none, and to who is there', async () => {
  const nobody = await freePort();
  const { number, hangUp } = await subscriber();
  await hood.floods(async () => {
    await typed(`ATD127.0.0.1:${nobody}\r`);
    await typed('ATDno-such-host.invalid\r');
    await typed(`ATD${number}\r\rATH\r`);
    hangUp();
  });
  await answers('\rATE0\r', 'OK\r\n');
}, 20_000);

test('+++ without end, in commands and as data; then a call in each direction', async () => {
  const { number, heard } = await subscriber();
  await hood.floods(async () => {
    await typed('+++');
    await answers('\rATE0\r', 'OK\r\n');
    line.send(`ATD${number}\r`);
    await sees('CONNECT');
    await typed('+++');
    line.send('ATH');
    await eventually('all of it is data', () => /^\++ATH$/.test(heard()));
  });
  await new Promise((resolve) => setTimeout(resolve, 1100));
  line.send('+++');
  await sees('OK\r\n');
  line.send('ATH\r');
  await sees('NO CARRIER\r\n');
  const caller = await RawPeer.connect(tcpPort);
  ends.push(() => caller.close());
  await sees('RING');
  line.send('ATA\r');
  await sees('CONNECT');
  await hood.speaks('modem', caller);
  await caller.close();
  await sees('NO CARRIER\r\n');
}, 20_000);
