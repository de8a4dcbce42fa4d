// A client engine against a server engine, or against bytes, without a socket between them: what either writes is given to
// the other in pieces, and what comes out is collected.
import { ClientEngine, type ClientOptions, type ClientOutput } from '../../../../src/protocol/rfc2217/client.js';
import { ServerEngine, type ServerOutput } from '../../../../src/protocol/rfc2217/server.js';
import { DEFAULT_SETTINGS, type LineRequest, type LineSettings, NO_MODEM_LINES } from '../../../../src/serial/line.js';
import { toHex } from '../telnet/support.js';

export const PEER = '192.0.2.1:4001';

export function com(hexText: string): string {
  return `ff fa 2c ${hexText} ff f0`;
}

/** What a client made of what it got: without its writes, and with data in hex. */
export function told(outputs: readonly ClientOutput[]): object[] {
  return outputs.filter(({ type }) => type !== 'write' && type !== 'received' && type !== 'timer');
}

export function written(outputs: readonly { type: string }[]): string {
  return toHex(
    Uint8Array.from(outputs.flatMap((o) => ('bytes' in o && o.type === 'write' ? [...(o.bytes as Uint8Array)] : []))),
  );
}

export class Wire {
  readonly client: ClientEngine;
  readonly server: ServerEngine;
  readonly outputs: ClientOutput[] = [];
  readonly requests: LineRequest[] = [];
  readonly serverTold: ServerOutput[] = [];
  refuses: (settings: LineSettings) => boolean = () => false;
  #towardsServer: Uint8Array[] = [];
  #towardsClient: Uint8Array[] = [];

  constructor(
    options: Partial<ClientOptions> = {},
    readonly piece = Number.POSITIVE_INFINITY,
  ) {
    this.client = new ClientEngine({ peer: PEER, ...options });
    this.server = new ServerEngine({
      signature: 'test',
      settings: DEFAULT_SETTINGS,
      lines: { dtr: false, rts: false },
      modemLines: { ...NO_MODEM_LINES, cts: true },
    });
  }

  start(): this {
    this.fromServer(this.server.start());
    this.fromClient(this.client.start());
    this.settle();
    return this;
  }

  fromClient(outputs: readonly ClientOutput[]): void {
    this.outputs.push(...outputs);
    for (const output of outputs) if (output.type === 'write') this.#towardsServer.push(output.bytes);
  }

  fromServer(first: readonly ServerOutput[]): void {
    for (let outputs = first; ; ) {
      for (const output of outputs) {
        if (output.type === 'write') this.#towardsClient.push(output.bytes);
        else if (output.type === 'request') this.requests.push(output.request);
        else this.serverTold.push(output);
      }
      const last = outputs.at(-1);
      if (last?.type !== 'request') return;
      outputs = this.server.applied(last.request.type === 'settings' && this.refuses(last.request.settings));
    }
  }

  data(bytes: Uint8Array, towards: 'server' | 'client'): void {
    (towards === 'server' ? this.#towardsServer : this.#towardsClient).push(bytes);
  }

  settle(): void {
    while (this.#towardsServer.length + this.#towardsClient.length > 0) {
      for (const bytes of this.#towardsServer.splice(0)) {
        for (const part of this.#cut(bytes)) this.fromServer(this.server.receive(part));
      }
      for (const bytes of this.#towardsClient.splice(0)) {
        for (const part of this.#cut(bytes)) this.fromClient(this.client.receive(part));
      }
    }
  }

  take(): object[] {
    return told(this.outputs.splice(0));
  }

  *#cut(bytes: Uint8Array): Iterable<Uint8Array> {
    for (let at = 0; at < bytes.length; at += this.piece) yield bytes.subarray(at, at + this.piece);
  }
}
