// A client of the daemon: HTTP and JSON over its unix socket. Holds no connection between calls and prints nothing.
// Follows the contract of types.ts.
//
//   new DaemonClient(socketPath, timeoutMs?)  status() ports() port(name) serialPorts() metrics() reload() usbip() watch(signal?)
//   trace(name, signal?) traceSerialPort(port, signal?)
//   Rejects with a Fault: NO_DAEMON, PERMISSION, NO_SUCH_TTY, PEER_TIMEOUT, PEER_PROTOCOL, SYSTEM, CANCELED.
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Fault, messageOf } from '../base/fault.js';
import type {
  ApiError,
  PortView,
  ReloadResult,
  SerialPortView,
  StatusView,
  TraceRecord,
  UsbipResult,
  WatchEvent,
} from './types.js';

/** All ports of a daemon with thousands of them; beyond it is no daemon of ours. */
const MAX_ANSWER = 64 * 1024 * 1024;
const MAX_LINE = 4 * 1024 * 1024;

export class DaemonClient {
  constructor(
    readonly socketPath: string,
    private readonly timeoutMs = 15_000,
  ) {}

  status(): Promise<StatusView> {
    return this.#json('GET', '/v1/status');
  }

  ports(): Promise<PortView[]> {
    return this.#json('GET', '/v1/ports');
  }

  /** This machine's serial ports that the daemon offers. */
  serialPorts(): Promise<SerialPortView[]> {
    return this.#json('GET', '/v1/serial-ports');
  }

  /** @param name the tty's name or alias */
  port(name: string): Promise<PortView> {
    return this.#json('GET', `/v1/ports/${encodeURIComponent(name)}`);
  }

  /** The text that Prometheus reads. */
  async metrics(): Promise<string> {
    return this.#readText(await this.#send('GET', '/metrics', AbortSignal.timeout(this.timeoutMs)));
  }

  /**
   * A reload waits for changed ports to transmit, so it has a minute.
   * @param choose whose backend is chosen again, by name or alias; '*': of all
   * @param asker where who asks sits; a configuration that would shut it out is refused, unless by force
   */
  reload(
    choose: readonly string[] = [],
    asker: { readonly address?: string | undefined; readonly force?: boolean } = {},
  ): Promise<ReloadResult> {
    const query = new URLSearchParams();
    for (const name of choose) query.append('choose', name);
    if (asker.address !== undefined) query.append('from', asker.address);
    if (asker.force) query.append('force', 'yes');
    return this.#json('POST', query.size === 0 ? '/v1/reload' : `/v1/reload?${query}`, 60_000);
  }

  /** Unplugs the daemon's virtual adapters before the machine sleeps, and plugs them in again. */
  usbip(action: 'suspend' | 'resume'): Promise<UsbipResult> {
    return this.#json('POST', `/v1/usbip/${action}`);
  }

  /** All ports first, then every change, until the signal is aborted (then it returns) or the daemon ends. */
  watch(signal?: AbortSignal): AsyncGenerator<WatchEvent, void> {
    return this.#lines('/v1/watch', signal);
  }

  trace(name: string, signal?: AbortSignal): AsyncGenerator<TraceRecord, void> {
    return this.#lines(`/v1/ports/${encodeURIComponent(name)}/trace`, signal);
  }

  /** Of a serial port that the daemon offers, by number. */
  traceSerialPort(port: number, signal?: AbortSignal): AsyncGenerator<TraceRecord, void> {
    return this.#lines(`/v1/serial-ports/${port}/trace`, signal);
  }

  async #json<T>(method: string, path: string, timeoutMs = this.timeoutMs): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await this.#send(method, path, signal);
    return this.#readJson<T>(response);
  }

  async *#lines<T>(path: string, signal?: AbortSignal): AsyncGenerator<T, void> {
    const starting = new AbortController();
    const timer = setTimeout(() => starting.abort(), this.timeoutMs);
    const stop = () => starting.abort();
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      const response = await this.#send('GET', path, starting.signal, signal);
      clearTimeout(timer);
      let rest = '';
      response.setEncoding('utf8');
      for await (const chunk of response) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) yield this.#parse<T>(line);
        if (rest.length > MAX_LINE) throw this.#notOurs();
      }
    } catch (error) {
      if (!signal?.aborted) throw this.#asFault(error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      starting.abort();
    }
  }

  /** Resolves with an answer of status 200; every other one becomes its Fault. */
  async #send(method: string, path: string, signal: AbortSignal, user?: AbortSignal): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      response = await new Promise((resolve, reject) => {
        const sent: ClientRequest = request({ socketPath: this.socketPath, method, path, signal, agent: false });
        sent.on('response', resolve);
        sent.on('error', reject);
        sent.end();
      });
    } catch (error) {
      if (user?.aborted) throw new Fault('CANCELED', 'stopped', { cause: error });
      throw this.#asFault(error);
    }
    if (response.statusCode === 200) return response;
    const { error } = await this.#readJson<{ error?: Partial<ApiError> }>(response);
    const message = error?.message ?? `the daemon answered ${response.statusCode}`;
    throw new Fault(
      response.statusCode === 404 ? 'NO_SUCH_TTY' : response.statusCode === 503 ? 'NO_DAEMON' : 'SYSTEM',
      message,
    );
  }

  async #readJson<T>(response: IncomingMessage): Promise<T> {
    return this.#parse<T>(await this.#readText(response));
  }

  async #readText(response: IncomingMessage): Promise<string> {
    let text = '';
    response.setEncoding('utf8');
    try {
      for await (const chunk of response) {
        text += String(chunk);
        if (text.length > MAX_ANSWER) throw this.#notOurs();
      }
    } catch (error) {
      throw this.#asFault(error);
    }
    return text;
  }

  /** Believes what the daemon says, as long as it is an object or a list; the contract has no other answers. */
  #parse<T>(text: string): T {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw this.#notOurs(error);
    }
    if (typeof value !== 'object' || value === null) throw this.#notOurs();
    return value as T;
  }

  #notOurs(cause?: unknown): Fault {
    return new Fault('PEER_PROTOCOL', `what answers at ${this.socketPath} is no ttynp daemon`, { cause });
  }

  #asFault(error: unknown): Fault {
    if (error instanceof Fault) return error;
    const code = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    const at = this.socketPath;
    switch (code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
      case 'ENOTSOCK':
        return new Fault('NO_DAEMON', `no daemon at ${at} (start ttynpd, or name its socket with --socket)`, {
          cause: error,
        });
      case 'EACCES':
      case 'EPERM':
        return new Fault('PERMISSION', `not allowed to use ${at} (run with sudo, or join its group)`, { cause: error });
      case 'ABORT_ERR':
        return new Fault('PEER_TIMEOUT', `the daemon at ${at} does not answer`, { cause: error });
      case 'ECONNRESET':
        return new Fault('NO_DAEMON', `the daemon at ${at} ended`, { cause: error });
      case 'EPIPE':
      case 'EAGAIN':
        return new Fault('NO_DAEMON', `the daemon at ${at} takes no more clients: end a watch or a trace`, {
          cause: error,
        });
      default:
        if (typeof code === 'string' && code.startsWith('HPE_')) return this.#notOurs(error);
        if (error instanceof Error && error.name === 'TimeoutError')
          return new Fault('PEER_TIMEOUT', `the daemon at ${at} does not answer`, { cause: error });
        return new Fault('SYSTEM', `${at}: ${messageOf(error)}`, { cause: error });
    }
  }
}
