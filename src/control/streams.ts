// The two streams of the API, one JSON value per line. A client that reads slowly costs a bounded amount of memory and
// slows nobody: a watcher gets the newest state of what changed meanwhile, a tracer is told how much it missed.
import type { ServerResponse } from 'node:http';
import type { DaemonControl } from '../api/daemon.js';
import type { ReloadResult, TraceRecord, WatchEvent } from '../api/types.js';

const MAX_QUEUED_BYTES = 256 * 1024;

function begin(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  response.flushHeaders();
}

/** Returns what ends it. */
export function streamWatch(daemon: DaemonControl, response: ServerResponse): () => void {
  begin(response);
  const behind = new Set<string>();
  let lastReload: ReloadResult | undefined;
  const write = (event: WatchEvent) => response.write(`${JSON.stringify(event)}\n`);
  const isFull = () => response.writableLength > MAX_QUEUED_BYTES;
  const unsubscribe = daemon.watch((event) => {
    if (!isFull() && behind.size === 0 && lastReload === undefined) write(event);
    else if (event.type === 'reload') lastReload = event.result;
    else behind.add(event.type === 'port' ? event.port.name : event.name);
  });
  const catchUp = () => {
    for (const name of behind) {
      if (isFull()) return;
      behind.delete(name);
      const port = daemon.port(name);
      write(port?.name === name ? { type: 'port', port } : { type: 'removed', name });
    }
    if (lastReload !== undefined) write({ type: 'reload', result: lastReload });
    lastReload = undefined;
  };
  response.on('drain', catchUp);
  for (const port of daemon.ports()) {
    if (isFull()) behind.add(port.name);
    else write({ type: 'port', port });
  }
  return unsubscribe;
}

/**
 * Returns what ends it.
 * @param subscribe returns what ends that
 */
export function streamTrace(
  subscribe: (listener: (record: TraceRecord) => void) => () => void,
  response: ServerResponse,
): () => void {
  begin(response);
  let missed: { bytes: number; atUs: number } | undefined;
  const write = (record: TraceRecord) => response.write(`${JSON.stringify(record)}\n`);
  const sayMissed = () => {
    if (missed !== undefined) write({ type: 'dropped', ...missed });
    missed = undefined;
  };
  const unsubscribe = subscribe((record) => {
    if (response.writableLength <= MAX_QUEUED_BYTES) {
      sayMissed();
      write(record);
      return;
    }
    missed ??= { bytes: 0, atUs: record.atUs };
    if (record.type === 'data') missed.bytes += Math.floor((record.data.replace(/=+$/, '').length * 3) / 4);
    else if (record.type === 'dropped') missed.bytes += record.bytes;
  });
  response.on('drain', sayMissed);
  return unsubscribe;
}
