// GET /metrics over TCP, where the configuration says so, and nothing else: no other path, no method that changes anything.
// An address that is not there yet (a network that comes up later) or is taken is tried again; the ports do not wait for it.
//
//   const server = new MetricsServer({ host, port, clock, log, metrics });  server.start();  await server.close()
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { PROMETHEUS_CONTENT_TYPE } from '../observe/prometheus.js';

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Who may ask, by address; others are disconnected before a byte is answered. Default everybody. */
  readonly admits?: (address: string) => boolean;
  /** The text for Prometheus. */
  readonly metrics: () => string;
}

const RETRY_MS = 10_000;
const MAX_CLIENTS = 16;

export class MetricsServer {
  readonly #o: MetricsServerOptions;
  readonly #server: Server;
  #retry: Timer | undefined;
  #told = false;
  #denied = 0;
  #closed = false;

  constructor(options: MetricsServerOptions) {
    this.#o = options;
    this.#server = createServer(
      { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = MAX_CLIENTS;
    this.#server.on('connection', (socket) => {
      if (options.admits?.(socket.remoteAddress ?? '') === false) this.#deny(socket);
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
    this.#server.on('error', (error) => this.#failed(error));
    this.#server.on('listening', () => {
      if (this.#closed) this.#server.close();
      if (this.#closed) return;
      this.#told = false;
      options.log.log('info', `metrics at http://${this.address}/metrics`, { event: 'metrics' });
    });
  }

  /** "127.0.0.1:9200", as bound; undefined while it is not. */
  get address(): string | undefined {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return undefined;
    return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  }

  start(): void {
    if (!this.#closed) this.#server.listen({ host: this.#o.host, port: this.#o.port });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #deny(socket: Socket): void {
    const peer = socket.remoteAddress ?? 'somebody';
    socket.destroy();
    if (this.#denied++ > 0) return;
    this.#o.log.log('warn', `metrics: ${peer} is not in accessibleIps; more like it are not told`, {
      event: 'metrics',
    });
  }

  #failed(error: Error): void {
    const { host, port, log, clock } = this.#o;
    if (!this.#told) log.log('error', `metrics: ${host} port ${port}: ${messageOf(error)}`, { event: 'metrics' });
    this.#told = true;
    // An accept that fails (out of descriptors) leaves it listening.
    if (this.#closed || this.#server.listening) return;
    this.#retry = clock.after(RETRY_MS, () => this.start());
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    request.on('error', () => {});
    response.on('error', () => {});
    // A request for metrics has no body: what comes with one is not read.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
      response.setHeader('Connection', 'close');
    }
    const [status, text] = this.#respond(request);
    if (status === 405) response.setHeader('Allow', 'GET, HEAD');
    response.writeHead(status, {
      'Content-Type': status === 200 ? PROMETHEUS_CONTENT_TYPE : 'text/plain; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
    });
    response.end(request.method === 'HEAD' ? undefined : text);
  }

  #respond(request: IncomingMessage): [number, string] {
    if ((request.url ?? '').split('?')[0] !== '/metrics') return [404, 'only /metrics is here\n'];
    if (request.method !== 'GET' && request.method !== 'HEAD') return [405, '/metrics takes GET only\n'];
    try {
      return [200, this.#o.metrics()];
    } catch (error) {
      this.#o.log.log('error', `metrics: ${messageOf(error)}`, { event: 'metrics' });
      return [500, 'the metrics cannot be told\n'];
    }
  }
}
