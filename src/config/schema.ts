// The shape of the configuration file: every key, its type and its unit. Never reads a file and never looks across
// entries (resolve.ts does). Input types are what an operator writes; output types are what the program uses: durations
// in milliseconds, modes as numbers, formats parsed.
import { isIP } from 'node:net';
import { z } from 'zod';
import { accessibleIps, DiscoverySchema, SerialPortSchema } from './serial-port-schema.js';
import { absolutePath, duration, format, listenAddress, mode, onOff, size, tcpPort } from './values.js';

/** Also what a tty may be called in `ttys:`; a server's `firstTty` has to begin with tty besides. */
export const TTY_NAME = /^(?!\.{1,2}$|__proto__$)[A-Za-z0-9._-]{1,64}$/;
export const GENERATED_NAME = /^tty[A-Za-z0-9._-]+$/;
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;
/** Names in the runtime directory that are the daemon's own. */
const RESERVED = new Set(['control.sock', 'ttynpd.pid', 'usbip-names']);

export function isAddress(text: string): boolean {
  const percent = text.indexOf('%');
  if (percent > 0) return isIP(text.slice(0, percent)) === 6 && /^[A-Za-z0-9._@-]{1,15}$/.test(text.slice(percent + 1));
  if (isIP(text) !== 0) return true;
  return HOST_NAME.test(text) && !/^[\d.]+$/.test(text);
}

const serialPort = z.int({ error: 'must be a port of the device server, 1 to 256' }).min(1).max(256);
const account = z.union([z.string().min(1), z.int().min(0)], { error: 'must be a name or a number' });
const ttyName = z
  .string()
  .regex(TTY_NAME, 'must be a name of letters, digits, dot, underscore and hyphen')
  .refine((name) => !RESERVED.has(name), 'is a name that the daemon needs for itself');
const serverName = z.string().regex(TTY_NAME, 'must be a name of letters, digits, dot, underscore and hyphen');

/** What a tty, its server, and the defaults of both may say. */
const lineOptions = {
  format: format.optional().describe('initial line settings; data bits and parity stay as given'),
  dtr: onOff.optional(),
  rts: onOff.optional(),
  owner: account.optional(),
  group: account.optional(),
  mode: mode.optional().describe('permissions of the tty, octal'),
  connect: z.enum(['on-open', 'always']).optional(),
  connectTimeout: duration.optional().describe('how long written bytes wait for the first connection (10s)'),
  closingWait: duration.optional().describe('at the last close: give up after so long without progress (30s)'),
  disconnectDelay: duration.optional().describe('how long the connection outlives the last close (500ms)'),
  onLinkLoss: z.enum(['keep', 'hangup']).optional(),
  offlineData: z.enum(['discard', 'hold', 'block']).optional(),
  holdTime: duration.optional().describe('offlineData hold: older bytes are dropped (2s)'),
  offlineOpen: z.enum(['succeed', 'fail']).optional(),
  fifo: onOff.optional().describe("the device's UART FIFO"),
  backend: z
    .enum(['auto', 'pty', 'usbip'])
    .optional()
    .describe('auto: usbip where this machine gives it, else pty; what was chosen stays'),
  needs: z
    .array(z.enum(['parity', 'modem-lines', 'drain', 'break']))
    .max(4)
    .optional()
    .describe('what an application cannot do without: a backend that lacks it is refused'),
};

const protocol = z.enum(['realcom', 'rfc2217', 'tcp', 'udp'], { error: 'must be realcom, rfc2217, tcp or udp' });

const serverOptions = {
  protocol: protocol.optional().describe('what the server speaks (realcom)'),
  ports: z.int({ error: 'must be a number of ports, 1 to 256' }).min(1).max(256).optional(),
  dataPort: tcpPort.optional().describe('data port of serial port 1 (950; rfc2217 and tcp: 4001)'),
  commandPort: tcpPort.optional().describe('command port of serial port 1 (966)'),
  localPort: tcpPort.optional().describe('udp: the port of this machine for serial port 1 (any free one)'),
  ipv6Preamble: z
    .union([z.enum(['auto', 'on', 'off']), z.boolean()], { error: 'must be auto, on or off' })
    .transform((value): 'auto' | 'on' | 'off' => (typeof value === 'string' ? value : value ? 'on' : 'off'))
    .optional(),
};

export const TtySchema = z.strictObject({
  server: serverName.optional(),
  port: serialPort.optional().describe('port of the device server, from 1'),
  protocol: protocol.optional().describe("of this port, where it is not the server's"),
  dataPort: tcpPort.optional().describe('exactly this data port'),
  commandPort: tcpPort.optional().describe('exactly this command port; of realcom'),
  localPort: tcpPort.optional().describe('exactly this port of this machine; of udp'),
  alias: z
    .union([ttyName.transform((name) => [name]), z.array(ttyName).max(16)], {
      error: 'must be a name or a list of names',
    })
    .optional(),
  ...lineOptions,
});

export const ServerSchema = z.strictObject({
  address: z.string().refine(isAddress, 'must be an IPv4 address, an IPv6 address ("fe80::1%eth1") or a host name'),
  firstTty: z
    .string()
    .regex(GENERATED_NAME, 'must be a name that begins with tty, such as ttyNP0')
    .max(64)
    .optional()
    .describe('name of the tty of port 1; the following ports count up'),
  ...serverOptions,
  ...lineOptions,
});

const serialPortNumber = z.string().regex(/^([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-6])$/, 'must be a number, 1 to 256');
const servers = z.record(serverName, ServerSchema).optional().describe('device servers that we connect to');
const ttys = z.record(ttyName, TtySchema).optional().describe('only what differs, or a single port');

export const ConfigSchema = z.strictObject({
  version: z.literal(1, { error: 'must be 1' }),
  include: z
    .union([z.string().transform((pattern) => [pattern]), z.array(z.string())], {
      error: 'must be a path or a list of paths',
    })
    .optional(),
  runtimeDir: absolutePath.optional().describe('control socket; links to the ttys when /dev is not writable'),
  linkDir: absolutePath.optional().describe('where the names of the ttys are made'),
  control: z.strictObject({ group: account.optional(), mode: mode.optional() }).optional(),
  metrics: z
    .strictObject({
      listen: listenAddress.describe('IP address and port where GET /metrics is answered over TCP'),
      accessibleIps: accessibleIps.optional().describe('who may ask, within the global list; empty: everybody'),
    })
    .optional()
    .describe('for Prometheus; the control socket answers /metrics always'),
  usbip: z
    .strictObject({
      socket: absolutePath.optional().describe('where the usbip helper listens (/run/ttynp-usbip.sock)'),
    })
    .optional(),
  log: z
    .strictObject({
      level: z.enum(['error', 'warn', 'info', 'debug']).optional(),
      file: absolutePath.optional(),
      maxSize: size.optional(),
      maxFiles: z.int().min(1).max(100).optional(),
      format: z.enum(['plain', 'json']).optional(),
      journal: z
        .boolean()
        .optional()
        .describe('with fields, to systemd-journald; default: where stderr is the journal'),
    })
    .optional(),
  defaults: z
    .strictObject({
      tty: z.strictObject({ server: serverName.optional(), ...lineOptions }).optional(),
      server: z.strictObject({ ...serverOptions, ...lineOptions }).optional(),
    })
    .optional(),
  servers,
  ttys,
  accessibleIps: accessibleIps
    .optional()
    .describe('who may connect to whatever listens: serial ports, discovery, metrics; empty: everybody'),
  discovery: DiscoverySchema.optional().describe(
    'UDP 4800: this machine is found as a device server, and answers that it lives',
  ),
  serialPorts: z
    .record(serialPortNumber, SerialPortSchema)
    .optional()
    .describe("this machine's serial ports that we offer, by number"),
});

/** An included file adds servers and ttys, nothing else. */
export const IncludedSchema = z.strictObject({
  version: z.literal(1, { error: 'must be 1' }).optional(),
  servers,
  ttys,
});

export type ConfigValue = z.output<typeof ConfigSchema>;
export type IncludedValue = z.output<typeof IncludedSchema>;
export type ServerValue = z.output<typeof ServerSchema>;
export type TtyValue = z.output<typeof TtySchema>;
export type LineOptions = Pick<TtyValue, keyof typeof lineOptions>;

/** For editors: what the file looks like, as JSON Schema. */
export function configJsonSchema(): object {
  return z.toJSONSchema(ConfigSchema, { io: 'input' });
}
