// Numbers of the vendor's UDP 4800 protocol ("DSCI", Moxa Command), as far as a host asks whether a device lives.
// What configures a device or loads its firmware is not here. Follows docs/protocol/dsci.md.

export const DSCI_PORT = 4800;

export const DSCI_SEARCH = 0x01;
export const DSCI_SERVER_NAME = 0x10;
export const DSCI_NETSTAT = 0x14;
export const DSCI_KERNEL_INFO = 0x16;
export const DSCI_NETSTAT_EX = 0x1d;
export const DSCI_EXTENSION = 0x79;
/** Bit 7 of the first byte: it is a reply. */
export const DSCI_REPLY = 0x80;

/** Of DSCI_EXTENSION, bytes 24 to 27: catalogue and code, big-endian. */
export const EXTENSION_SEARCH = 0x0001_0001;
export const EXTENSION_NETSTAT = 0x0002_0004;

export const HEADER_BYTES = 8;
/** AP-ID, HW-ID, MAC. */
export const DEVICE_ID_BYTES = 12;
export const NAME_BYTES = 40;

export const STATE_LISTEN = 1;
export const STATE_ESTABLISHED = 4;
