// The shape of an entry of `serialPorts:`: one serial port of this machine and how it is offered. Names, ranges and
// defaults follow the device servers' own: mode, maximum of connections, accessible IPs, inactivity time, alive check.
import { isIP } from 'node:net';
import { z } from 'zod';
import { type AddressRange, parseAddressRange } from './address-range.js';
import { packing } from './packing.js';
import { absolutePath, duration, format, onOff, tcpPort } from './values.js';

const range = z.string({ error: 'must be an address range' }).transform((value, context): AddressRange => {
  const parsed = parseAddressRange(value);
  if (parsed !== undefined) return parsed;
  const message = `must be an address, address/prefix or address/netmask, got ${JSON.stringify(value)}`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

export const accessibleIps = z.array(range, { error: 'must be a list of address ranges' }).max(256);

const ipAddress = z.string().refine((address) => isIP(address) !== 0, 'must be an IPv4 or IPv6 address');

export const SERIAL_PORT_MODES = ['real-com', 'rfc2217', 'tcp-server', 'disabled'] as const;

export const SerialPortSchema = z.strictObject({
  device: absolutePath.describe('such as /dev/ttyS0, or a link below /dev/serial/by-id, which an adapter keeps'),
  mode: z.enum(SERIAL_PORT_MODES).optional().describe('real-com'),
  listen: ipAddress.optional().describe('the address of this machine to listen on (127.0.0.1)'),
  dataPort: tcpPort.optional().describe('real-com: exactly this data port (950 and up)'),
  commandPort: tcpPort
    .optional()
    .describe('exactly this command port (966 and up); of tcp-server where allowDriverControl is on'),
  tcpPort: tcpPort.optional().describe('rfc2217 and tcp-server: exactly this port (4001 and up)'),
  maxConnection: z
    .int({ error: 'must be a number of connections, 1 to 8' })
    .min(1)
    .max(8)
    .optional()
    .describe('how many clients at a time; all of them get the serial data (1)'),
  maxConnectionPerIp: z
    .int({ error: 'must be a number of connections, 1 to 8' })
    .min(1)
    .max(8)
    .optional()
    .describe('of them, how many from one address (all)'),
  ignoreJammedIp: onOff
    .optional()
    .describe('a client that does not read loses data, and does not hold the others up (off)'),
  allowDriverControl: onOff
    .optional()
    .describe('clients set the line by commands (real-com: on where maxConnection is 1, else off; tcp-server: off)'),
  packing: packing.optional().describe('how serial data become segments: modbus-rtu, or rules (as they come)'),
  inactivityTime: duration.optional().describe('tcp-server: clients are disconnected after so long without data (0)'),
  aliveCheck: duration.optional().describe('a client that no longer answers is dropped after about so long (7m)'),
  connectionGoesDown: z
    .enum(['low', 'high'])
    .optional()
    .describe('DTR and RTS while nobody is connected (tcp-server: high, else low)'),
  accessibleIps: accessibleIps.optional().describe('who may connect, within the global list; empty: everybody'),
  format: format.optional().describe('the line settings until a client changes them (9600,8N1)'),
  flowControl: z.enum(['none', 'rts-cts', 'xon-xoff']).optional(),
  rs485: onOff.optional().describe('the driver switches the transmitter on and off by RTS (TIOCSRS485)'),
});

export const DiscoverySchema = z.strictObject({
  listen: z
    .union([ipAddress.transform((address) => [address]), z.array(ipAddress).min(1).max(16)], {
      error: 'must be an IP address or a list of them',
    })
    .describe('the addresses of this machine that hosts have in their configuration'),
  port: z
    .int({ error: 'must be a UDP port number' })
    .min(1)
    .max(65535)
    .optional()
    .describe('the one hosts ask is 4800'),
  name: z
    .string()
    .regex(/^[\x20-\x7e]{1,39}$/, 'must be 1 to 39 ASCII characters')
    .optional()
    .describe('what this machine is called in a search (its host name)'),
  connections: onOff
    .optional()
    .describe('tell which TCP connections there are; off where hosts are behind a translation of addresses (on)'),
  accessibleIps: accessibleIps.optional().describe('who may ask, within the global list; empty: everybody'),
});

export type SerialPortValue = z.output<typeof SerialPortSchema>;
