// Ports of 127.0.0.1 that nobody has, TCP and UDP, and that stay so until the test takes them, or for good: they are outside of
// what the kernel gives to sockets that name no port, which a port let go of a moment ago is not.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const LOWEST = 10_000;
/** What the kernel gives away begins here: /proc/sys/net/ipv4/ip_local_port_range, ip(7). */
const END = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0]);
const given = new Set<number>();

/** @returns as many TCP and UDP ports as `count`, none of which this process was given before */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tries = 0; found.length < count; tries++) {
    if (tries > 1000) throw new Error(`no free ports between ${LOWEST} and ${END}`);
    const port = LOWEST + Math.floor(Math.random() * (END - LOWEST));
    if (given.has(port) || !(await freeForTcp(port)) || !(await freeForUdp(port))) continue;
    given.add(port);
    found.push(port);
  }
  return found;
}

/** @returns one port, as freePorts() */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function freeForTcp(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function freeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });
}
