// The daemon's API on a unix socket: the routes of api/types.ts, and nothing else. Knows the daemon only as DaemonControl.
// Bound first and served later, so that a second daemon finds the first one before it touches a tty.
//
//   const server = await ControlServer.bind({ path, mode, group, log })    rejects: ALREADY_RUNNING, PERMISSION, SYSTEM
//   server.serve(daemon);  await server.close();
import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { DaemonControl } from '../api/daemon.js';
import type { ApiError, TraceRecord } from '../api/types.js';
import { Fault, isFault, messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { groupId } from '../config/accounts.js';
import { PROMETHEUS_CONTENT_TYPE } from '../observe/prometheus.js';
import { dialSocket, PID_HEADER } from './living.js';
import { streamTrace, streamWatch } from './streams.js';

export interface ControlOptions {
  readonly path: string;
  readonly mode: number;
  /** Name or number; null: the group of the daemon. */
  readonly group: string | number | null;
  readonly log: Log;
}

const MAX_HEADER_BYTES = 8 * 1024;
const MAX_BODY_BYTES = 4 * 1024;
const MAX_CLIENTS = 64;

export class ControlServer {
  readonly #server: Server;
  readonly #log: Log;
  #daemon: DaemonControl | undefined;
  readonly #streams = new Set<() => void>();

  private constructor(log: Log) {
    this.#log = log;
    this.#server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 2_000 },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = MAX_CLIENTS;
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      else socket.destroy();
    });
  }

  static async bind(options: ControlOptions): Promise<ControlServer> {
    const control = new ControlServer(options.log);
    try {
      await control.#listen(options.path);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') throw listenFault(options.path, error);
      await removeStale(options.path);
      try {
        await control.#listen(options.path);
      } catch (second) {
        throw listenFault(options.path, second);
      }
    }
    // An accept that fails (out of descriptors) is no reason to end the daemon.
    control.#server.on('error', (error) => control.#log.log('warn', `control socket: ${error.message}`));
    control.#open(options);
    return control;
  }

  /** From now on requests are answered; before, they are told that the daemon is starting. */
  serve(daemon: DaemonControl): void {
    this.#daemon = daemon;
  }

  /** Ends every stream and removes the socket. */
  async close(): Promise<void> {
    for (const end of [...this.#streams]) end();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error) => reject(error);
      this.#server.once('error', onError);
      // bind(2) happens inside listen(): nobody may dial between it and the chmod.
      const before = process.umask(0o077);
      try {
        this.#server.listen(path, () => {
          this.#server.removeListener('error', onError);
          resolve();
        });
      } finally {
        process.umask(before);
      }
    });
  }

  #open({ path, mode, group }: ControlOptions): void {
    try {
      if (group !== null) chownSync(path, -1, groupId(group, 'control'));
      chmodSync(path, mode);
    } catch (error) {
      this.#log.log('warn', `the control socket stays with its owner only: ${messageOf(error)}`);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader(PID_HEADER, String(process.pid));
    let bodyBytes = 0;
    request.on('data', (chunk: Buffer) => {
      bodyBytes += chunk.length;
      if (bodyBytes <= MAX_BODY_BYTES) return;
      response.on('finish', () => request.destroy());
      sendError(response, 413, { code: 'TOO_LARGE', message: 'no request has such a body' });
    });
    request.on('error', () => {}); // a client that goes away in the middle
    response.on('error', () => {});
    const daemon = this.#daemon;
    if (daemon === undefined) {
      sendError(response, 503, { code: 'STARTING', message: `the daemon is starting, pid ${process.pid}` });
      return;
    }
    request.on('end', () => {
      if (bodyBytes > MAX_BODY_BYTES) return;
      this.#route(daemon, request, response).catch((error: unknown) => {
        this.#log.log('error', `control: ${request.method} ${request.url}: ${messageOf(error)}`);
        sendError(response, 500, { code: 'SYSTEM', message: messageOf(error) });
      });
    });
  }

  async #route(daemon: DaemonControl, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const port = /^\/v1\/ports\/([^/]+)(\/trace)?$/.exec(path);
    const serialPort = /^\/v1\/serial-ports\/(\d{1,3})\/trace$/.exec(path)?.[1];
    const usbip = /^\/v1\/usbip\/(suspend|resume)$/.exec(path)?.[1];
    const method = path === '/v1/reload' || usbip !== undefined ? 'POST' : 'GET';
    const known = ['/v1/status', '/v1/ports', '/v1/serial-ports', '/v1/reload', '/v1/watch', '/metrics'].includes(path);
    if (!known && port === null && serialPort === undefined && usbip === undefined) {
      return sendError(response, 404, { code: 'NO_SUCH_PATH', message: 'no such path' });
    }
    if (request.method !== method) {
      response.setHeader('Allow', method);
      return sendError(response, 405, { code: 'METHOD', message: `${path} takes ${method} only` });
    }
    if (path === '/v1/status') return sendJson(response, 200, daemon.status());
    if (path === '/metrics') return sendText(response, 200, PROMETHEUS_CONTENT_TYPE, daemon.metrics());
    if (path === '/v1/serial-ports') return sendJson(response, 200, daemon.serialPorts());
    if (path === '/v1/ports') return sendJson(response, 200, daemon.ports());
    if (path === '/v1/reload') return this.#reload(daemon, request, response);
    if (usbip !== undefined) return sendJson(response, 200, daemon.usbip(usbip === 'suspend' ? 'suspend' : 'resume'));
    if (path === '/v1/watch') return this.#stream(response, streamWatch(daemon, response));
    if (serialPort !== undefined) return this.#traceSerialPort(daemon, Number(serialPort), response);
    const name = decoded(port?.[1] ?? '');
    const view = name === undefined ? undefined : daemon.port(name);
    if (name === undefined || view === undefined) {
      return sendError(response, 404, { code: 'NO_SUCH_TTY', message: `no tty ${name ?? port?.[1]}` });
    }
    if (port?.[2] === undefined) return sendJson(response, 200, view);
    const subscribe = (listener: (record: TraceRecord) => void) => daemon.trace(view.name, listener);
    this.#stream(response, streamTrace(subscribe, response));
  }

  #traceSerialPort(daemon: DaemonControl, port: number, response: ServerResponse): void {
    if (!daemon.serialPorts().some((view) => view.port === port)) {
      sendError(response, 404, { code: 'NO_SUCH_TTY', message: `no serial port ${port}` });
      return;
    }
    const subscribe = (listener: (record: TraceRecord) => void) => daemon.traceSerialPort(port, listener);
    this.#stream(response, streamTrace(subscribe, response));
  }

  /** ?choose=NAME, once for each tty, or ?choose=* for all; ?from=ADDRESS of who asks, ?force=yes. */
  async #reload(daemon: DaemonControl, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const query = new URLSearchParams(request.url?.split('?')[1] ?? '');
    const asked = query.getAll('choose');
    const address = query.get('from') ?? undefined;
    if (address !== undefined && isIP(address) === 0) {
      return sendError(response, 400, { code: 'ADDRESS', message: 'from is no IP address' });
    }
    const names = new Set<string>();
    for (const name of asked.filter((one) => one !== '*')) {
      const view = daemon.port(name);
      if (view === undefined) return sendError(response, 404, { code: 'NO_SUCH_TTY', message: `no tty ${name}` });
      names.add(view.name);
    }
    const all = asked.includes('*');
    sendJson(
      response,
      200,
      await daemon.reload((tty) => all || names.has(tty), { address, force: query.get('force') === 'yes' }),
    );
  }

  #stream(response: ServerResponse, unsubscribe: () => void): void {
    const end = () => {
      this.#streams.delete(end);
      unsubscribe();
      response.end();
    };
    this.#streams.add(end);
    response.on('close', end);
  }
}

async function removeStale(path: string): Promise<void> {
  const living = await dialSocket(path);
  if (living !== undefined) {
    const who = living.pid === undefined ? 'something answers' : `pid ${living.pid}`;
    throw new Fault('ALREADY_RUNNING', `already running, ${who} at ${path}`);
  }
  try {
    if (!lstatSync(path).isSocket()) throw new Fault('LINK_PATH_TAKEN', `${path} is there already and is no socket`);
    unlinkSync(path);
  } catch (error) {
    if (isFault(error)) throw error;
    if (codeOf(error) !== 'ENOENT') throw listenFault(path, error);
  }
}

function listenFault(path: string, error: unknown): Fault {
  const code = codeOf(error);
  const text = `control socket ${path}: ${messageOf(error)}`;
  if (code === 'EADDRINUSE')
    return new Fault('ALREADY_RUNNING', `already running: ${path} is in use`, { cause: error });
  return new Fault(code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'PERMISSION' : 'SYSTEM', text, {
    cause: error,
  });
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  sendText(response, status, 'application/json', JSON.stringify(body));
}

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

function sendError(response: ServerResponse, status: number, error: ApiError): void {
  if (status === 413) response.setHeader('Connection', 'close');
  sendJson(response, status, { error });
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // %zz
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}
