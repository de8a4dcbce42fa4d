// What a test holds on to: the heap after a collection, so that two figures can be compared.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes of what somebody still holds. */
export function heapUsed(): number {
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed;
}

/** And with it what lies beside the heap: buffers. Bytes. */
export function memoryHeld(): number {
  return heapUsed() + process.memoryUsage().external;
}
