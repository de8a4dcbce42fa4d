// The TCP connections of a port: of Real COM two, command first, then data, as the vendor's driver makes them; of other
// protocols one; to each address in turn. Leaves no descriptor behind when it fails or is aborted. Follows
// docs/protocol/realcom.md section 1.3.
import { Fault, isFault } from '../base/fault.js';
import { closeFd, connectTcp, type SocketOptions } from '../native/socket.js';
import { endFault, faultOf } from './errno.js';

export interface Ports {
  readonly dataPort: number;
  readonly commandPort: number;
}

/** Connected; the descriptor belongs to the caller. */
export interface Single {
  readonly address: string;
  readonly fd: number;
}

/** Both connected; the descriptors belong to the caller. */
export interface Pair {
  readonly address: string;
  readonly commandFd: number;
  readonly dataFd: number;
}

/** The command connection is where a silent device is noticed, within 10 s. */
const COMMAND_OPTIONS = {
  noDelay: true,
  keepAlive: { idle: 3, interval: 1, count: 5 },
  userTimeoutMs: 7000,
} as const;

/**
 * Never TCP_USER_TIMEOUT on data: it would kill a living device that holds its window shut (CTS, XOFF). A small receive buffer
 * bounds what waits for an application that does not read: then the device's own flow control acts, and not megabytes later.
 * What is taken ahead from an application is bounded by the pump, which asks what is not acknowledged; the send buffer has to be
 * larger than that: one that is full of a single segment waits for the peer's delayed acknowledgement (40 ms).
 */
const DATA_OPTIONS = {
  noDelay: true,
  keepAlive: { idle: 30, interval: 10, count: 6 },
  sendBuffer: 256 * 1024,
  receiveBuffer: 64 * 1024,
  notSentLowat: 4096,
} as const;

/**
 * One connection for all: there is no other on which a silent device is noticed, and none of its silence may end it (see
 * above). So it is asked for a sign of life soon, while nothing is under way.
 */
const SINGLE_OPTIONS = { ...DATA_OPTIONS, keepAlive: { idle: 5, interval: 2, count: 4 } } as const;

export function place(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Rejects with the fault of the address that got furthest. */
export function dialAny(
  addresses: readonly string[],
  ports: Ports,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Pair> {
  return eachOf(addresses, ports.commandPort, signal, (address) => dial(address, ports, timeoutMs, signal));
}

/** As `dialAny`. */
export function dialSingle(
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Single> {
  return eachOf(addresses, port, signal, async (address) => {
    try {
      return { address, fd: await connect(address, port, timeoutMs, SINGLE_OPTIONS, signal) };
    } catch (error) {
      // A reset that comes before we have looked: it was accepted.
      throw isFault(error) && error.code === 'PEER_CLOSED' ? endFault(error, place(address, port), false) : error;
    }
  });
}

async function eachOf<T>(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
  dialOne: (address: string) => Promise<T>,
): Promise<T> {
  let best: Fault | undefined;
  for (const address of addresses) {
    try {
      return await dialOne(address);
    } catch (error) {
      const fault = faultOf(error, place(address, port));
      if (signal.aborted || fault.code === 'NO_DESCRIPTORS') throw fault;
      // "No route" of an address family that this machine does not have would hide what the other address said.
      if (best === undefined || best.code === 'PEER_NO_ROUTE') best = fault;
    }
  }
  throw best ?? new Fault('NAME_UNRESOLVED', 'no address to connect to');
}

export async function dial(address: string, ports: Ports, timeoutMs: number, signal: AbortSignal): Promise<Pair> {
  const commandFd = await connect(address, ports.commandPort, timeoutMs, COMMAND_OPTIONS, signal);
  try {
    const dataFd = await connect(address, ports.dataPort, timeoutMs, DATA_OPTIONS, signal);
    return { address, commandFd, dataFd };
  } catch (error) {
    closeFd(commandFd);
    throw error;
  }
}

async function connect(
  host: string,
  port: number,
  timeoutMs: number,
  options: SocketOptions,
  signal: AbortSignal,
): Promise<number> {
  if (signal.aborted) throw canceled(host, port);
  let fd: number;
  try {
    fd = await connectTcp({ host, port, timeoutMs, ...options, signal });
  } catch (error) {
    if (signal.aborted) throw canceled(host, port);
    throw faultOf(error, place(host, port));
  }
  if (!signal.aborted) return fd;
  closeFd(fd);
  throw canceled(host, port);
}

function canceled(host: string, port: number): Fault {
  return new Fault('CANCELED', `${place(host, port)}: connect canceled`);
}
