// What the system said of a connection, as a Fault that names host and port. Never decides whether to retry: the code does.
import { Fault, type FaultCode, isFault, messageOf } from '../base/fault.js';

const FAULTS: ReadonlyMap<string, readonly [FaultCode, string]> = new Map([
  ['ECONNREFUSED', ['PEER_REFUSED', 'connection refused']],
  ['ETIMEDOUT', ['PEER_TIMEOUT', 'no answer']],
  ['EHOSTUNREACH', ['PEER_NO_ROUTE', 'no route to host']],
  ['EHOSTDOWN', ['PEER_NO_ROUTE', 'host is down']],
  ['ENETUNREACH', ['PEER_NO_ROUTE', 'no route to network']],
  ['ENETDOWN', ['PEER_NO_ROUTE', 'network is down']],
  ['EADDRNOTAVAIL', ['PEER_NO_ROUTE', 'no local address towards it']],
  ['ECONNRESET', ['PEER_CLOSED', 'connection reset']],
  ['EPIPE', ['PEER_CLOSED', 'connection closed']],
  ['ECONNABORTED', ['PEER_CLOSED', 'connection aborted']],
  ['EMFILE', ['NO_DESCRIPTORS', 'this process is out of file descriptors']],
  ['ENFILE', ['NO_DESCRIPTORS', 'this system is out of file descriptors']],
  ['EACCES', ['PERMISSION', 'not permitted']],
  ['EPERM', ['PERMISSION', 'not permitted']],
]);

/** @param where "192.168.1.5:966" */
export function faultOf(error: unknown, where: string): Fault {
  if (isFault(error)) return error;
  const errno = errnoOf(error);
  const known = errno === undefined ? undefined : FAULTS.get(errno);
  if (known !== undefined) return new Fault(known[0], `${where}: ${known[1]}`, { cause: error });
  const code = errno?.startsWith('EAI_') || errno === 'ENOTFOUND' ? 'NAME_UNRESOLVED' : 'SYSTEM';
  return new Fault(code, `${where}: ${messageOf(error)}`, { cause: error });
}

/**
 * The end of a command connection. Before the device answered anything it means that the device accepts and then closes:
 * another host has the port.
 *
 * @param error undefined: an orderly end
 */
export function endFault(error: unknown, where: string, answered: boolean): Fault {
  const fault = error === undefined ? undefined : faultOf(error, where);
  if (fault !== undefined && fault.code !== 'PEER_CLOSED') return fault;
  const options = error === undefined ? undefined : { cause: error };
  if (!answered) {
    return new Fault(
      'PEER_BUSY',
      `${where}: accepted, then closed: the port is probably in use by another host`,
      options,
    );
  }
  return fault ?? new Fault('PEER_CLOSED', `${where}: closed by the device server`);
}

function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
