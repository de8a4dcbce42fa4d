// The vendor requests and status bits of an FTDI chip, as the Linux driver uses them (drivers/usb/serial/ftdi_sio.h).

export const RESET = 0;
export const MODEM_CONTROL = 1;
export const FLOW_CONTROL = 2;
export const BAUD_RATE = 3;
export const LINE = 4;
export const EVENT_CHARACTER = 6;
export const ERROR_CHARACTER = 7;
export const SET_LATENCY = 9;
export const GET_LATENCY = 10;

/** The value of RESET at every first open; the driver never sends the others (purges). */
export const RESET_PORT = 0;

/** MODEM_CONTROL: the high byte says which lines are meant. */
export const DTR = 0x0001;
export const RTS = 0x0002;
export const DTR_MEANT = 0x0100;
export const RTS_MEANT = 0x0200;

/** FLOW_CONTROL, in wIndex. */
export const FLOW_RTS_CTS = 0x0100;
export const FLOW_XON_XOFF = 0x0400;

/** LINE, in wValue. */
export const LINE_BREAK = 0x4000;

/** The two status bytes. The rest of the second (break, transmitter empty) is the pump's: native-bindings/usbip. */
export const CTS = 0x10;
export const DSR = 0x20;
export const RI = 0x40;
export const DCD = 0x80;
/** Always set in the first byte. */
export const RESERVED = 0x01;
export const OVERRUN = 0x02;
export const PARITY = 0x04;
export const FRAMING = 0x08;
