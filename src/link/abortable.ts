// A promise that nobody waits for any longer once a signal is aborted.
import { Fault } from '../base/fault.js';

/** Rejects with CANCELED as soon as the signal is aborted. What the promise then does concerns nobody. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Fault('CANCELED', 'connect canceled'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
