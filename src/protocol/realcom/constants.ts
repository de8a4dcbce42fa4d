// The numbers of Moxa's Real COM (ASPP) command connection, under the vendor's names. Facts only, no behaviour.
// Follows docs/protocol/realcom.md: sections 2.2 (commands), 2.3 (value tables), 3.1 (reply lengths).

export const ASPP_CMD_IOCTL = 0x10;
export const ASPP_CMD_FLOWCTRL = 0x11;
export const ASPP_CMD_LINECTRL = 0x12;
export const ASPP_CMD_LSTATUS = 0x13;
export const ASPP_CMD_FLUSH = 0x14;
export const ASPP_CMD_IQUEUE = 0x15;
export const ASPP_CMD_OQUEUE = 0x16;
export const ASPP_CMD_SETBAUD = 0x17;
export const ASPP_CMD_XONXOFF = 0x18;
export const ASPP_CMD_PORT_RESET = 0x20;
export const ASPP_CMD_START_BREAK = 0x21;
export const ASPP_CMD_STOP_BREAK = 0x22;
export const ASPP_CMD_START_NOTIFY = 0x24;
export const ASPP_CMD_STOP_NOTIFY = 0x25;
export const ASPP_CMD_NOTIFY = 0x26;
export const ASPP_CMD_POLLING = 0x27;
export const ASPP_CMD_ALIVE = 0x28;
export const ASPP_CMD_HOST = 0x2b;
export const ASPP_CMD_PORT_INIT = 0x2c;
export const ASPP_CMD_RESENT_TIME = 0x2e;
export const ASPP_CMD_WAIT_OQUEUE = 0x2f;
export const ASPP_CMD_TX_FIFO = 0x30;
export const ASPP_CMD_SETXON = 0x33;
export const ASPP_CMD_SETXOFF = 0x34;
/** Sent first by the vendor's Windows driver; no Linux driver knows it. */
export const ASPP_CMD_OPEN = 0x39;

/** Names as logs, captures and the vendor's sources have them, without the prefix. */
export const COMMAND_NAMES: ReadonlyMap<number, string> = new Map([
  [ASPP_CMD_IOCTL, 'IOCTL'],
  [ASPP_CMD_FLOWCTRL, 'FLOWCTRL'],
  [ASPP_CMD_LINECTRL, 'LINECTRL'],
  [ASPP_CMD_LSTATUS, 'LSTATUS'],
  [ASPP_CMD_FLUSH, 'FLUSH'],
  [ASPP_CMD_IQUEUE, 'IQUEUE'],
  [ASPP_CMD_OQUEUE, 'OQUEUE'],
  [ASPP_CMD_SETBAUD, 'SETBAUD'],
  [ASPP_CMD_XONXOFF, 'XONXOFF'],
  [ASPP_CMD_PORT_RESET, 'PORT_RESET'],
  [ASPP_CMD_START_BREAK, 'START_BREAK'],
  [ASPP_CMD_STOP_BREAK, 'STOP_BREAK'],
  [ASPP_CMD_START_NOTIFY, 'START_NOTIFY'],
  [ASPP_CMD_STOP_NOTIFY, 'STOP_NOTIFY'],
  [ASPP_CMD_NOTIFY, 'NOTIFY'],
  [ASPP_CMD_POLLING, 'POLLING'],
  [ASPP_CMD_ALIVE, 'ALIVE'],
  [ASPP_CMD_HOST, 'HOST'],
  [ASPP_CMD_PORT_INIT, 'PORT_INIT'],
  [ASPP_CMD_RESENT_TIME, 'RESENT_TIME'],
  [ASPP_CMD_WAIT_OQUEUE, 'WAIT_OQUEUE'],
  [ASPP_CMD_TX_FIFO, 'TX_FIFO'],
  [ASPP_CMD_SETXON, 'SETXON'],
  [ASPP_CMD_SETXOFF, 'SETXOFF'],
  [ASPP_CMD_OPEN, 'OPEN'],
]);

/** Payload length of each command whose payload is known (2.2). More is tolerated and ignored, less is malformed. */
export const PAYLOAD_LENGTHS: ReadonlyMap<number, number> = new Map([
  [ASPP_CMD_IOCTL, 2],
  [ASPP_CMD_FLOWCTRL, 4],
  [ASPP_CMD_LINECTRL, 2],
  [ASPP_CMD_LSTATUS, 0],
  [ASPP_CMD_FLUSH, 1],
  [ASPP_CMD_IQUEUE, 0],
  [ASPP_CMD_OQUEUE, 0],
  [ASPP_CMD_SETBAUD, 4],
  [ASPP_CMD_XONXOFF, 2],
  [ASPP_CMD_START_BREAK, 0],
  [ASPP_CMD_STOP_BREAK, 0],
  [ASPP_CMD_ALIVE, 1],
  [ASPP_CMD_PORT_INIT, 8],
  [ASPP_CMD_WAIT_OQUEUE, 4],
  [ASPP_CMD_TX_FIFO, 1],
  [ASPP_CMD_SETXON, 0],
  [ASPP_CMD_SETXOFF, 0],
  [ASPP_CMD_OPEN, 0],
]);

/** Total length of each device->host frame by its first byte (3.1): the only framing rule there is. */
export const FRAME_LENGTHS: ReadonlyMap<number, number> = new Map([
  [ASPP_CMD_NOTIFY, 4],
  [ASPP_CMD_POLLING, 3],
  [ASPP_CMD_WAIT_OQUEUE, 4],
  [ASPP_CMD_OQUEUE, 4],
  [ASPP_CMD_IQUEUE, 4],
  [ASPP_CMD_PORT_INIT, 5],
  [ASPP_CMD_LSTATUS, 5],
  [ASPP_CMD_IOCTL, 3],
  [ASPP_CMD_FLOWCTRL, 3],
  [ASPP_CMD_LINECTRL, 3],
  [ASPP_CMD_FLUSH, 3],
  [ASPP_CMD_SETBAUD, 3],
  [ASPP_CMD_XONXOFF, 3],
  [ASPP_CMD_START_BREAK, 3],
  [ASPP_CMD_STOP_BREAK, 3],
  [ASPP_CMD_START_NOTIFY, 3],
  [ASPP_CMD_STOP_NOTIFY, 3],
  [ASPP_CMD_HOST, 3],
  [ASPP_CMD_TX_FIFO, 3],
  [ASPP_CMD_SETXON, 3],
  [ASPP_CMD_SETXOFF, 3],
]);

/** Baud rate by wire index (2.3). */
export const BAUD_RATES: readonly number[] = [
  300, 600, 1200, 2400, 4800, 7200, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 150, 134, 110, 75, 50,
];
/** "Not in the table": the rate follows in a SETBAUD, or stays what it is. */
export const BAUD_INDEX_CUSTOM = 0xff;

// Mode byte (2.3).
export const MODE_DATA_BITS_MASK = 0x03;
export const MODE_STOP_BITS_2 = 0x04;
export const MODE_PARITY_MASK = 0x38;
export const MODE_PARITY_NONE = 0x00;
export const MODE_PARITY_EVEN = 0x08;
export const MODE_PARITY_ODD = 0x10;
export const MODE_PARITY_MARK = 0x18;
export const MODE_PARITY_SPACE = 0x20;

// FLUSH (2.7), seen from the device.
export const ASPP_FLUSH_RX_BUFFER = 0;
export const ASPP_FLUSH_TX_BUFFER = 1;
export const ASPP_FLUSH_ALL_BUFFER = 2;

// NOTIFY mask (3.4).
export const NOTIFY_PARITY = 0x01;
export const NOTIFY_FRAMING = 0x02;
export const NOTIFY_HW_OVERRUN = 0x04;
export const NOTIFY_SW_OVERRUN = 0x08;
export const NOTIFY_BREAK = 0x10;
export const NOTIFY_MSR_CHG = 0x20;

// Modem status as in a 16550's MSR (3.4, 6).
export const MSR_CTS = 0x10;
export const MSR_DSR = 0x20;
export const MSR_RI = 0x40;
export const MSR_DCD = 0x80;

/** 'O' 'K' */
export const OK_1 = 0x4f;
export const OK_2 = 0x4b;

/** Bytes that an IPv6 host and its device exchange before anything else (1.3 step 3). */
export const PREAMBLE_BYTES = 16;
/** A command is CMD, LEN and at most 255 payload bytes. */
export const MAX_COMMAND_BYTES = 257;
