// The shape of an entry of `serialPorts:`: one serial port of this machine and how it is offered. Names, ranges and
// defaults follow the device servers' own: mode, maximum of connections, accessible IPs, inactivity time, alive check.
import { isIP } from 'node:net';
import { z } from 'zod';
import { type AddressRange, parseAddressRange } from './address-range.js';
import { destinations } from './destination.js';
import { packing } from './packing.js';
import type { ConnectionControl } from './resolved.js';
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

export const SERIAL_PORT_MODES = [
  'real-com',
  'rfc2217',
  'tcp-server',
  'tcp-client',
  'udp',
  'pair-master',
  'pair-slave',
  'ethernet-modem',
  'reverse-telnet',
  'disabled',
] as const;

export const CONNECTION_CONTROLS = [
  'startup',
  'any-character',
  'any-character/inactivity-time',
  'dsr-on',
  'dsr-on/dsr-off',
  'dcd-on',
  'dcd-on/dcd-off',
] as const satisfies readonly ConnectionControl[];

export const SerialPortSchema = z.strictObject({
  device: absolutePath.describe('such as /dev/ttyS0, or a link below /dev/serial/by-id, which an adapter keeps'),
  mode: z.enum(SERIAL_PORT_MODES).optional().describe('real-com'),
  listen: ipAddress.optional().describe('the address of this machine to listen on (127.0.0.1)'),
  dataPort: tcpPort.optional().describe('real-com: exactly this data port (950 and up)'),
  commandPort: tcpPort
    .optional()
    .describe('exactly this command port (966 and up); of tcp-server where allowDriverControl is on'),
  tcpPort: tcpPort.optional().describe('of the modes with one TCP port: exactly this one (4001 and up)'),
  udpPort: tcpPort.optional().describe('udp: exactly this port (4001 and up)'),
  destinations: destinations
    .optional()
    .describe('tcp-client, udp, pair-master: up to 4 addresses or names, such as [10.0.0.7:4001]; of udp also ranges'),
  connectionControl: z
    .enum(CONNECTION_CONTROLS)
    .optional()
    .describe('tcp-client: what connects, and after the stroke what ends that (startup)'),
  mapCrLf: z
    .enum(['cr-lf', 'cr', 'lf'])
    .optional()
    .describe('reverse-telnet: what an end of a line is on the serial line (cr-lf)'),
  arbitrate: z
    .union([z.literal('request-response'), z.literal('off'), z.literal(false)], {
      error: 'must be request-response or off',
    })
    .optional()
    .describe(
      'several clients: request-response is one request at a time on the line, and its answer for who asked (off)',
    ),
  responseTimeout: duration.optional().describe('arbitrate: how long an answer is waited for (1s)'),
  lateAnswers: z
    .enum(['discard', 'last-requester', 'all'])
    .optional()
    .describe('arbitrate: whose are bytes that nobody waits for (discard)'),
  turnaroundDelay: duration
    .optional()
    .describe('half duplex: the least time from what was received to what is sent (0)'),
  echoSuppression: onOff.optional().describe('half duplex: what was sent comes back and is taken away (off)'),
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
  inactivityTime: duration
    .optional()
    .describe('tcp-server, tcp-client, reverse-telnet: connections are ended after so long without data (0)'),
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
