// termios as the kernel keeps it (struct termios2: any rate), and what it means as line settings. Pure: reading and setting
// it is native/termios. Values of asm-generic/termbits.h, see termios(3) and ioctl_tty(2).
import type { DataBits, LineSettings, Parity } from './line.js';

/** On a PTY: the slave's. A PTY always shows 8 data bits and no parity: the kernel strips CSIZE and PARENB. */
export interface Termios {
  /** Bits per second. */
  readonly inputSpeed: number;
  readonly outputSpeed: number;
  readonly iflag: number;
  readonly oflag: number;
  readonly cflag: number;
  readonly lflag: number;
  readonly cc: readonly number[];
}

/** asm-generic/termbits.h; VTIME and below are indexes of `cc`. */
export const TERMIOS = {
  PARMRK: 0o10,
  ISTRIP: 0o40,
  INLCR: 0o100,
  ICRNL: 0o400,
  IXON: 0o2000,
  IXOFF: 0o10000,
  OPOST: 0o1,
  ISIG: 0o1,
  ICANON: 0o2,
  ECHO: 0o10,
  EXTPROC: 0o200000,
  CSIZE: 0o60,
  CS5: 0o0,
  CS6: 0o20,
  CS7: 0o40,
  CS8: 0o60,
  CSTOPB: 0o100,
  CREAD: 0o200,
  PARENB: 0o400,
  PARODD: 0o1000,
  HUPCL: 0o2000,
  CLOCAL: 0o4000,
  CMSPAR: 0o10000000000,
  CRTSCTS: 0o20000000000,
  VTIME: 5,
  VMIN: 6,
  VSTART: 8,
  VSTOP: 9,
} as const;

const { CS5, CS6, CS7, CS8, CSIZE, CSTOPB, PARENB, PARODD, CMSPAR, CRTSCTS, IXON, IXOFF, VSTART, VSTOP } = TERMIOS;

const DATA_BITS: readonly [number, DataBits][] = [
  [CS5, 5],
  [CS6, 6],
  [CS7, 7],
  [CS8, 8],
];

function parityOf(cflag: number): Parity {
  if ((cflag & PARENB) === 0) return 'none';
  const odd = (cflag & PARODD) !== 0;
  if ((cflag & CMSPAR) !== 0) return odd ? 'mark' : 'space';
  return odd ? 'odd' : 'even';
}

/** What a device on the line has to be told. 5 data bits with CSTOPB are 1.5 stop bits, as in a UART. */
export function toLineSettings(t: Termios): LineSettings {
  const dataBits = DATA_BITS.find(([flag]) => flag === (t.cflag & CSIZE))?.[1] ?? 8;
  const twoStopBits = (t.cflag & CSTOPB) !== 0;
  return {
    baudRate: t.outputSpeed,
    dataBits,
    parity: parityOf(t.cflag),
    stopBits: twoStopBits ? (dataBits === 5 ? 1.5 : 2) : 1,
    flowControl: {
      rtsCts: (t.cflag & CRTSCTS) !== 0,
      xonXoffOut: (t.iflag & IXON) !== 0,
      xonXoffIn: (t.iflag & IXOFF) !== 0,
      xon: t.cc[VSTART] ?? 0x11,
      xoff: t.cc[VSTOP] ?? 0x13,
    },
  };
}

const PARITY_FLAGS: Readonly<Record<Parity, number>> = {
  none: 0,
  even: PARENB,
  odd: PARENB | PARODD,
  mark: PARENB | PARODD | CMSPAR,
  space: PARENB | CMSPAR,
};

/** The c_cflag bits of line settings, without CREAD, HUPCL and CLOCAL. As unsigned: CRTSCTS is bit 31. */
export function cflagOf(s: LineSettings): number {
  const size = DATA_BITS.find(([, bits]) => bits === s.dataBits)?.[0] ?? CS8;
  const stop = s.stopBits === 1 ? 0 : CSTOPB;
  return (size | stop | PARITY_FLAGS[s.parity] | (s.flowControl.rtsCts ? CRTSCTS : 0)) >>> 0;
}

export function iflagOf(s: LineSettings): number {
  return (s.flowControl.xonXoffOut ? IXON : 0) | (s.flowControl.xonXoffIn ? IXOFF : 0);
}

/** `t` with the line part replaced. */
export function withLineSettings(t: Termios, s: LineSettings): Termios {
  const line = (CSIZE | CSTOPB | PARENB | PARODD | CMSPAR | CRTSCTS) >>> 0;
  const cc = [...t.cc];
  cc[VSTART] = s.flowControl.xon;
  cc[VSTOP] = s.flowControl.xoff;
  return {
    ...t,
    inputSpeed: s.baudRate,
    outputSpeed: s.baudRate,
    cflag: ((t.cflag & ~line) | cflagOf(s)) >>> 0,
    iflag: ((t.iflag & ~(IXON | IXOFF)) | iflagOf(s)) >>> 0,
    cc,
  };
}

/** What a fresh terminal of these settings begins with: the arguments of native/pty's createPty. */
export function initialTermios(s: LineSettings, hangUpOnClose = true) {
  return {
    baudRate: s.baudRate,
    cflag: (cflagOf(s) | (hangUpOnClose ? TERMIOS.HUPCL : 0)) >>> 0,
    iflag: iflagOf(s),
    start: s.flowControl.xon,
    stop: s.flowControl.xoff,
  };
}
