// What of a configuration that is right could be better. One line each; asks the system nothing.
import type { ResolvedConfig, ResolvedSerialPort } from './resolved.js';

export function suggestions({ serialPorts }: ResolvedConfig): string[] {
  return serialPorts
    .filter(isSharedModbus)
    .map(
      ({ port, source }) =>
        `${source.file}:${source.line}: serialPorts.${port}: several masters share a Modbus line; with arbitrate: ` +
        'request-response one asks at a time, and only who asked gets the answer',
    );
}

function isSharedModbus({ served, packing }: ResolvedSerialPort): boolean {
  const isShared = 'maxConnection' in served && served.maxConnection > 1 && served.arbitration === null;
  return isShared && packing?.forceTransmit === 'modbus-rtu';
}
