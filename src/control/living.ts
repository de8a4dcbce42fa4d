// Whether somebody serves a unix socket: found by dialling it, because a pid file may lie and a socket file may be left
// over. Changes nothing.
import { request } from 'node:http';

/** Every answer of a daemon carries its pid, also while it is still starting. */
export const PID_HEADER = 'Ttynp-Pid';
const PATIENCE_MS = 2_000;

/** What answers there; undefined: nobody listens. Somebody who accepts and does not answer is alive without a pid. */
export function dialSocket(path: string): Promise<{ pid: number | undefined } | undefined> {
  return new Promise((resolve) => {
    const dial = request({ socketPath: path, path: '/v1/status', agent: false, timeout: PATIENCE_MS }, (response) => {
      const pid = Number(response.headers[PID_HEADER.toLowerCase()]);
      response.destroy();
      resolve({ pid: Number.isInteger(pid) && pid > 0 ? pid : undefined });
    });
    dial.on('timeout', () => {
      dial.destroy();
      resolve({ pid: undefined });
    });
    dial.on('error', (error) => {
      const code: unknown = Reflect.get(error, 'code');
      const nobody = code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTSOCK';
      resolve(nobody ? undefined : { pid: undefined });
    });
    dial.end();
  });
}
