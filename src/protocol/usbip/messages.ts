// The messages of USB/IP between a kernel's virtual host controller (vhci_hcd) and a device that we are. The handshake of the
// usbip tools (OP_REQ_IMPORT and so on) never appears on this socket. Numbers are big-endian; a header is 48 bytes.
// Source: Linux, Documentation/usb/usbip_protocol.rst and drivers/usb/usbip/usbip_common.h; docs/protocol/usbip.md.

export const HEADER_BYTES = 48;
export const SETUP_BYTES = 8;

export const CMD_SUBMIT = 1;
export const CMD_UNLINK = 2;
export const RET_SUBMIT = 3;
export const RET_UNLINK = 4;

/** -errno, as URBs carry it. */
export const STATUS_OK = 0;
export const STATUS_STALL = -32; // EPIPE
export const STATUS_UNLINKED = -104; // ECONNRESET

/** A transfer that the kernel asks for (an URB). It is outstanding until it is answered, or unlinked. */
export interface Submit {
  readonly type: 'submit';
  readonly seqnum: number;
  readonly direction: 'in' | 'out';
  /** 0: control. */
  readonly endpoint: number;
  /** Bytes that it carries (out), or that the answer may have at most (in). */
  readonly length: number;
  /** Of a control transfer; zeros otherwise. */
  readonly setup: Uint8Array;
  /** What an out transfer carries. Valid only during the call that it is given to. */
  readonly data: Uint8Array;
}

/** The kernel wants a transfer no more. */
export interface Unlink {
  readonly type: 'unlink';
  readonly seqnum: number;
  /** The seqnum of the transfer. */
  readonly target: number;
}

/** What is no USB/IP: nothing after it can be trusted, and whoever owns the socket closes it. */
export interface Nonsense {
  readonly type: 'nonsense';
  readonly reason: string;
}

export type Message = Submit | Unlink | Nonsense;
