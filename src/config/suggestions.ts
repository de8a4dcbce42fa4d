// What of a configuration that is right could be better. One line each; asks the system nothing.
import { isIP } from 'node:net';
import { destinationText } from './destination.js';
import type { ResolvedConfig, ResolvedSerialPort } from './resolved.js';

export function suggestions({ serialPorts }: ResolvedConfig): string[] {
  return serialPorts.flatMap((port) => {
    const { file, line } = port.source;
    const texts = [sharedModbus(port), confinedUdp(port)].filter((text) => text !== undefined);
    return texts.map((text) => `${file}:${line}: serialPorts.${port.port}: ${text}`);
  });
}

function sharedModbus({ served, packing }: ResolvedSerialPort): string | undefined {
  const isShared = 'maxConnection' in served && served.maxConnection > 1 && served.arbitration === null;
  if (!isShared || packing?.forceTransmit !== 'modbus-rtu') return undefined;
  const better = 'one asks at a time, and only who asked gets the answer';
  return `several masters share a Modbus line; with arbitrate: request-response ${better}`;
}

/** Datagrams are sent from where is listened. */
function confinedUdp({ served, listen }: ResolvedSerialPort): string | undefined {
  if (served.mode !== 'udp' || !isLoop(listen)) return undefined;
  const far = served.destinations.find(({ host }) => isIP(host) !== 0 && !isLoop(host));
  return far && `${listen} reaches this machine only, and ${destinationText(far)} is beyond it: set listen`;
}

const isLoop = (address: string) => address.startsWith('127.') || address === '::1';
