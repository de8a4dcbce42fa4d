// From where the operator came who gives a command: the address of the ssh client, if it was ssh. sudo and su take the variable away,
// so the processes above this one are asked too, as far as they may be read.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

const VARIABLE = 'SSH_CONNECTION';
const MAX_DEPTH = 32;

/** @param proc where proc(5) is */
export function requestingAddress(
  environment = process.env,
  parent = process.ppid,
  proc = '/proc',
): string | undefined {
  const own = addressIn(environment[VARIABLE]);
  if (own !== undefined) return own;
  let pid = parent;
  for (let depth = 0; depth < MAX_DEPTH && pid > 1; depth++) {
    const values = read(`${proc}/${pid}/environ`).split('\0');
    const value = values.find((one) => one.startsWith(`${VARIABLE}=`))?.slice(VARIABLE.length + 1);
    const found = addressIn(value);
    if (found !== undefined) return found;
    pid = Number(/^PPid:\s*(\d+)$/m.exec(read(`${proc}/${pid}/status`))?.[1] ?? 0);
  }
  return undefined;
}

/** "192.0.2.7 50000 192.0.2.1 22" */
function addressIn(value: string | undefined): string | undefined {
  const [address = ''] = (value ?? '').split(' ');
  return isIP(address) === 0 ? undefined : address;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // not ours to read, or gone
  }
}
