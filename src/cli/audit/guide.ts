// The two tables of Moxa's guide for hardening the NPort 5000: its network services, and the operation modes of its serial
// ports, each with port, default and advice. Data only; what this machine does of it is judged in judge.ts.

export interface GuideRow {
  readonly service: string;
  readonly port: string;
  /** As the device leaves the factory. */
  readonly default: string;
  /** null: the guide says nothing of it. */
  readonly advice: string | null;
}

/** Network services. */
export const GUIDE_SERVICES = {
  moxaCommand: {
    service: 'Moxa Command (DSCI)',
    port: 'TCP 14900, 4900; UDP 4800',
    default: 'enabled',
    advice: 'disable',
  },
  dns: { service: 'DNS, WINS', port: 'UDP 53, 137, 949', default: 'enabled, cannot be disabled', advice: null },
  snmp: { service: 'SNMP agent', port: 'UDP 161', default: 'enabled', advice: 'disable' },
  http: { service: 'HTTP', port: 'TCP 80', default: 'enabled', advice: 'disable' },
  https: { service: 'HTTPS', port: 'TCP 443', default: 'enabled (TLS 1.2)', advice: 'enable' },
  telnet: { service: 'Telnet console', port: 'TCP 23', default: 'disabled', advice: null },
  dhcp: { service: 'DHCP client', port: 'UDP 68 (67)', default: 'disabled', advice: 'static address' },
  sntp: { service: 'SNTP client', port: 'UDP, random', default: 'disabled', advice: 'use' },
  syslog: { service: 'Remote syslog', port: 'UDP, random', default: 'disabled', advice: 'use' },
} as const satisfies Record<string, GuideRow>;

/** Operation modes. `n` is the serial port, from 1. */
export const GUIDE_MODES = {
  realCom: {
    service: 'Real COM',
    port: 'TCP 950+(n-1) and 966+(n-1)',
    default: 'enabled',
    advice: 'disable if unused',
  },
  rfc2217: { service: 'RFC2217', port: 'TCP, user-defined', default: 'disabled', advice: null },
  tcpServer: { service: 'TCP Server', port: 'TCP 4000+n and 966+(n-1)', default: 'disabled', advice: null },
  udp: { service: 'UDP', port: 'UDP 4000+n', default: 'disabled', advice: null },
  pair: { service: 'Pair Connection', port: 'TCP 4000+n', default: 'disabled', advice: null },
  ethernetModem: { service: 'Ethernet Modem', port: 'TCP 4000+n', default: 'disabled', advice: null },
  reverseTelnet: { service: 'Reverse Telnet', port: 'TCP 4000+n', default: 'disabled', advice: null },
} as const satisfies Record<string, GuideRow>;
