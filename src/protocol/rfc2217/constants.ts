// Numbers of the COM-PORT-OPTION, by the names that RFC 2217 gives them. A server answers with the command plus 100.

export const COM_PORT = {
  SIGNATURE: 0,
  'SET-BAUDRATE': 1,
  'SET-DATASIZE': 2,
  'SET-PARITY': 3,
  'SET-STOPSIZE': 4,
  'SET-CONTROL': 5,
  'NOTIFY-LINESTATE': 6,
  'NOTIFY-MODEMSTATE': 7,
  'FLOWCONTROL-SUSPEND': 8,
  'FLOWCONTROL-RESUME': 9,
  'SET-LINESTATE-MASK': 10,
  'SET-MODEMSTATE-MASK': 11,
  'PURGE-DATA': 12,
} as const;

export const FROM_SERVER = 100;

/** SET-CONTROL; "outbound" sets both directions where nothing is said of inbound. */
export const CONTROL = {
  ASK_FLOW: 0,
  NO_FLOW: 1,
  XON_XOFF: 2,
  HARDWARE: 3,
  ASK_BREAK: 4,
  BREAK_ON: 5,
  BREAK_OFF: 6,
  ASK_DTR: 7,
  DTR_ON: 8,
  DTR_OFF: 9,
  ASK_RTS: 10,
  RTS_ON: 11,
  RTS_OFF: 12,
  ASK_INBOUND_FLOW: 13,
  INBOUND_NO_FLOW: 14,
  INBOUND_XON_XOFF: 15,
  INBOUND_HARDWARE: 16,
  DCD_FLOW: 17,
  INBOUND_DTR_FLOW: 18,
  DSR_FLOW: 19,
} as const;

export type ControlSubject = 'flow' | 'break' | 'dtr' | 'rts' | 'inbound flow';

/** What a SET-CONTROL is about: its answer is about the same. */
export function controlSubject(value: number): ControlSubject | undefined {
  if (value === CONTROL.DCD_FLOW || value === CONTROL.DSR_FLOW) return 'flow';
  if (value === CONTROL.INBOUND_DTR_FLOW) return 'inbound flow';
  if (value < 0 || value > CONTROL.INBOUND_HARDWARE) return undefined;
  if (value <= CONTROL.HARDWARE) return 'flow';
  if (value <= CONTROL.BREAK_OFF) return 'break';
  if (value <= CONTROL.DTR_OFF) return 'dtr';
  return value <= CONTROL.RTS_OFF ? 'rts' : 'inbound flow';
}

export const LINE_STATE = {
  DATA_READY: 1,
  OVERRUN: 2,
  PARITY: 4,
  FRAMING: 8,
  BREAK: 16,
  HOLDING_EMPTY: 32,
  SHIFT_EMPTY: 64,
  TIMEOUT: 128,
} as const;

export const MODEM_STATE = {
  DELTA_CTS: 1,
  DELTA_DSR: 2,
  RI_TRAILING: 4,
  DELTA_DCD: 8,
  CTS: 16,
  DSR: 32,
  RI: 64,
  DCD: 128,
} as const;

export const PURGE = { RX: 1, TX: 2, BOTH: 3 } as const;
