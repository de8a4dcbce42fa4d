// What goes over the command connection, as plain values: Command (host -> device), Frame (device -> host).
// No bytes, no behaviour. Follows docs/protocol/realcom.md sections 2 and 3.

/** PORT_INIT bytes 6 to 9 and FLOWCTRL's payload. */
export interface FlowFlags {
  /** The two halves of RTS/CTS; which is which is unknown, so hosts set both and devices take either for both (2.4). */
  readonly hwA: boolean;
  readonly hwB: boolean;
  readonly ixon: boolean;
  readonly ixoff: boolean;
}

/** PORT_INIT bytes 2 to 9. */
export interface PortInit extends FlowFlags {
  readonly baudIndex: number;
  readonly mode: number;
  readonly dtr: boolean;
  readonly rts: boolean;
}

/** Commands without payload. */
export type BareCommandType =
  | 'LSTATUS'
  | 'IQUEUE'
  | 'OQUEUE'
  | 'START_BREAK'
  | 'STOP_BREAK'
  | 'SETXON'
  | 'SETXOFF'
  | 'OPEN';

export type Command =
  /** `hostName`: what Windows appends, Latin-1; empty otherwise. */
  | { readonly type: 'PORT_INIT'; readonly init: PortInit; readonly hostName: string }
  | { readonly type: 'IOCTL'; readonly baudIndex: number; readonly mode: number }
  | { readonly type: 'FLOWCTRL'; readonly flow: FlowFlags }
  | { readonly type: 'LINECTRL'; readonly dtr: boolean; readonly rts: boolean }
  | { readonly type: 'FLUSH'; readonly which: number }
  | { readonly type: 'SETBAUD'; readonly baudRate: number }
  | { readonly type: 'XONXOFF'; readonly xon: number; readonly xoff: number }
  | { readonly type: 'ALIVE'; readonly token: number }
  | { readonly type: 'WAIT_OQUEUE'; readonly timeout: number }
  | { readonly type: 'TX_FIFO'; readonly bytes: number }
  | { readonly type: BareCommandType }
  /** Well framed, but of unknown number or payload, or with too short a payload. */
  | { readonly type: 'other'; readonly code: number; readonly payload: Uint8Array };

/** A command with the bytes that it came as. */
export interface DecodedCommand {
  readonly command: Command;
  readonly bytes: Uint8Array;
}

export type Frame =
  /** `cmd 'O' 'K'` */
  | { readonly type: 'ok'; readonly code: number }
  /** A three-byte reply that is not OK; what devices send there is not documented. */
  | { readonly type: 'not-ok'; readonly code: number; readonly word: number }
  /** Answer to PORT_INIT or LSTATUS. RI is in neither. */
  | {
      readonly type: 'lines';
      readonly code: number;
      readonly dsr: boolean;
      readonly cts: boolean;
      readonly dcd: boolean;
    }
  /** PORT_INIT `03 FF FF FF`: the rate was rejected (3.2). */
  | { readonly type: 'refused'; readonly code: number }
  /** Answer to WAIT_OQUEUE, OQUEUE, IQUEUE. */
  | { readonly type: 'queue'; readonly code: number; readonly bytes: number }
  | { readonly type: 'notify'; readonly mask: number; readonly msr: number; readonly extra: number }
  | { readonly type: 'polling'; readonly token: number }
  /** A known first byte with a content that it cannot have. */
  | { readonly type: 'malformed'; readonly code: number }
  /** An unknown first byte: the stream cannot be resynchronised; the decoder yields nothing more. */
  | { readonly type: 'unknown'; readonly byte: number };

/** A frame with the bytes that it came as. */
export interface DecodedFrame {
  readonly frame: Frame;
  readonly bytes: Uint8Array;
}
