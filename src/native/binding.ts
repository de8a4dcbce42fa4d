// The compiled addon, typed. It is loaded here and nowhere else; everything outside of this room uses the classes and
// functions beside it. Arguments are plain numbers and strings, errors are Errors with { code, errno, syscall }.
import { createRequire } from 'node:module';

/** An errno as it comes from C: `code` is its name, `syscall` the call that failed. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

export function isSystemError(value: unknown): value is SystemError {
  return value instanceof Error && 'code' in value && 'syscall' in value;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface RawTermios {
  inputSpeed: number;
  outputSpeed: number;
  iflag: number;
  oflag: number;
  cflag: number;
  lflag: number;
  cc: number[];
}

export interface RawPtySettings {
  baudRate: number;
  cflag: number;
  iflag: number;
  start: number;
  stop: number;
}

/** 0 and missing: leave as the kernel has it. */
export interface RawSocketOptions {
  noDelay?: number;
  keepAliveIdle?: number;
  keepAliveInterval?: number;
  keepAliveCount?: number;
  userTimeoutMs?: number;
  sendBuffer?: number;
  receiveBuffer?: number;
  notSentLowat?: number;
}

/** struct serial_rs485; delays in milliseconds. */
export interface RawRs485 {
  flags: number;
  delayBefore: number;
  delayAfter: number;
}

/** Only the addon can make one. */
export interface SerialWaiterHandle {
  readonly serialWaiter: unique symbol;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** What every measurement of the load engine tells; times are nanoseconds. */
export interface RawLoadEnd {
  readonly canceled: boolean;
  /** Of what ended it early; 0: nothing. */
  readonly errno: number;
  readonly syscall: string;
}

export interface RawDifference {
  /** -1: every byte was right. */
  readonly differenceAt: number;
  readonly expected: number;
  readonly got: number;
}

export interface RawLatency extends RawLoadEnd {
  readonly times: Float64Array;
  readonly lost: number;
  readonly mismatched: number;
  readonly split: number;
  readonly gap: number;
}

export interface RawStream extends RawLoadEnd, RawDifference {
  readonly sent: number;
  readonly received: number;
  readonly elapsed: number;
}

export interface RawDuplex extends RawLoadEnd, RawDifference {
  readonly offered: number;
  readonly sent: number;
  readonly received: number;
  readonly inTime: number;
  readonly wrong: number;
  readonly failed: number;
  readonly cpu: number;
  readonly aToB: Float64Array;
  readonly bToA: Float64Array;
  readonly late: Float64Array;
}

export interface RawLatencyOptions {
  readonly legs: number;
  readonly out0: number;
  readonly in0: number;
  readonly out1: number;
  readonly in1: number;
  readonly bytes: number;
  readonly replyBytes: number;
  readonly request: Uint8Array | null;
  readonly count: number;
  readonly giveUpAfter: number;
  readonly timeout: number;
  readonly quiet: number;
}

export interface RawStreamOptions {
  readonly out: number;
  readonly in: number;
  readonly bytes: number;
  readonly duration: number;
  readonly chunk: number;
  readonly window: number;
  readonly quiet: number;
}

export interface RawDuplexOptions {
  readonly bytes: number;
  readonly interval: number;
  readonly duration: number;
  readonly drain: number;
  readonly threads: number;
}

/** Only the addon can make one. */
export interface LoadHandle {
  readonly load: unique symbol;
}

export interface LiveCounts {
  readonly pumps: number;
  readonly channels: number;
  readonly fences: number;
}

/** What module.c registers. Directions, kinds and modes are the numbers of pump.h's enums. */
export interface Binding {
  readonly counterCount: number;
  errnoName(errno: number): string;

  createPump(onEvents: () => void, handFd: number): number;
  freezePump(pump: number): void;
  destroyPump(pump: number): void;
  takeEvents(pump: number, pairs: Uint32Array): number;
  unanswered(pump: number): number;
  liveCounts(): LiveCounts;
  openChannel(
    pump: number,
    ttyFd: number,
    kind: number,
    slavePath: string,
    lookAhead: number,
    offlineMode: number,
    offlineBytes: number,
    counters: Float64Array,
    keepFd: number,
    adopt: boolean,
    adapterPort: number,
  ): number;
  closeChannel(pump: number, channel: number): { down: Uint8Array; up: Uint8Array };
  attach(pump: number, channel: number, fd: number, lossMode: number, lossBytes: number): void;
  detach(pump: number, channel: number, offlineMode: number, offlineBytes: number): void;
  setOffline(pump: number, channel: number, offlineMode: number, offlineBytes: number): void;
  stop(pump: number, channel: number, direction: number): void;
  resume(pump: number, channel: number, direction: number): void;
  watchNode(pump: number, channel: number, path: string, openers: number): void;
  drop(pump: number, channel: number, direction: number, bytes: number): number;
  fence(pump: number, channel: number, timeoutMs: number): number;
  takeFences(pump: number, channel: number): number[];
  setLookAhead(pump: number, channel: number, bytes: number): void;
  tap(pump: number, channel: number, bytes: number): void;
  readTap(pump: number, channel: number): Uint8Array;
  reset(pump: number, channel: number): number;

  readonly adapterKeptBytes: number;
  /** Adapters come with the channels of takeEvents, numbered from here on. */
  readonly firstAdapter: number;
  openAdapter(pump: number, keepFd: number, adopt: boolean): number;
  plugAdapter(
    pump: number,
    adapter: number,
    fd: number,
    interfaces: number,
    packetBytes: number,
    adopt: boolean,
  ): number;
  settleAdapter(pump: number, adapter: number): number;
  unplugAdapter(pump: number, adapter: number): number;
  closeAdapter(pump: number, adapter: number): number;
  takeAdapterRequests(pump: number, adapter: number): number[];
  answerAdapter(pump: number, adapter: number, seqnum: number, status: number, data: Uint8Array): number;
  setAdapterModem(pump: number, adapter: number, port: number, status: number): number;
  setAdapterErrors(pump: number, adapter: number, port: number, flags: number): number;
  setAdapterBreak(pump: number, adapter: number, port: number): number;
  adapterTransmitted(pump: number, adapter: number, port: number, taken: number): number;
  adapterOutputWaits(pump: number, adapter: number, port: number): number;
  discardAdapterOutput(pump: number, adapter: number, port: number, on: number): number;
  isAdapterPortOpen(pump: number, adapter: number, port: number): number;
  adapterLost(pump: number, adapter: number): string;

  createPty(settings: RawPtySettings, uid: number, gid: number, mode: number): { fd: number; path: string };
  rearm(fd: number): void;
  clearStale(path: string): void;
  isHungUp(fd: number): boolean;
  slavePath(masterFd: number): string;
  getTermios(fd: number): RawTermios;
  setTermios(fd: number, termios: RawTermios): void;

  beginConnect(host: string, port: number, options: RawSocketOptions): number;
  beginListen(host: string, port: number, backlog: number, receiveBuffer: number): number;
  setSocketOptions(fd: number, options: RawSocketOptions): void;
  connectUnix(path: string): number;
  listenUnix(path: string, backlog: number): number;
  acceptConnection(fd: number): number;
  peerCredentials(fd: number): PeerCredentials;
  sendNow(fd: number, text: string): number;
  awaitReadable(fd: number, timeoutMs: number): Promise<boolean>;
  socketPair(): [number, number];
  outputQueue(fd: number): number;
  inputQueue(fd: number): number;
  discardInput(fd: number): number;
  isEstablished(fd: number): number;
  socketError(fd: number): number;
  localAddress(fd: number): SocketAddress;
  peerAddress(fd: number): SocketAddress;
  closeFd(fd: number): void;
  dupFd(fd: number): number;
  shutdownFd(fd: number, how: number): void;
  setLinger0(fd: number): void;

  notify(socketPath: string, state: string, fds: readonly number[]): void;
  sendDatagram(socketPath: string, bytes: Uint8Array): void;
  awaitDatagramRoom(socketPath: string, timeoutMs: number): boolean;
  beginBarrier(socketPath: string): number;
  awaitEnd(fd: number, timeoutMs: number): boolean;

  openSerialPort(path: string): Promise<number>;
  closeSerialPort(fd: number): Promise<number>;
  readTermios(fd: number): Promise<RawTermios>;
  applyTermios(fd: number, termios: RawTermios): Promise<RawTermios>;
  modemBits(fd: number): Promise<number>;
  setModemBits(fd: number, bits: number, mask: number): Promise<number>;
  lineCounters(fd: number): number[];
  flushQueues(fd: number, which: number): Promise<number>;
  runTransmitter(fd: number, on: boolean): Promise<number>;
  beginBreak(fd: number): Promise<number>;
  endBreak(fd: number): Promise<number>;
  drainSerialPort(fd: number): Promise<number>;
  unreadBytes(fd: number): Promise<number>;
  untransmittedBytes(fd: number): Promise<number>;
  setRs485(fd: number, rs485: RawRs485): number;
  watchSerialPort(fd: number, sampleMs: number, modem: boolean, callback: (what: number) => void): SerialWaiterHandle;
  wantSerialEvents(waiter: SerialWaiterHandle, what: number): void;
  endSerialWaiter(waiter: SerialWaiterHandle): void;

  createStateFile(name: string, bytes: number): number;
  descriptorKind(fd: number): string;

  measureLatency(options: RawLatencyOptions, mask: number, over: (run: RawLatency) => void): LoadHandle;
  measureStream(options: RawStreamOptions, mask: number, over: (run: RawStream) => void): LoadHandle;
  measureDuplex(
    options: RawDuplexOptions,
    mask: number,
    over: (run: RawDuplex) => void,
    a: Int32Array,
    b: Int32Array,
  ): LoadHandle;
  cancelLoad(handle: LoadHandle): void;
  loadBuckets(): Float64Array;
  barePty(): { fd: number; path: string };
  processCpu(pid: number): number;

  setCloseOnExec(fd: number): void;
}

/** TTYNP_ADDON names another build of the addon, e.g. one with sanitizers. */
const path = process.env.TTYNP_ADDON ?? '../../native-bindings/build/ttynp.node';

export const binding = createRequire(import.meta.url)(path) as Binding;
