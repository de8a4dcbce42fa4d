// What an Ethernet modem answers and keeps: result codes, S registers, identification, letters without an effect. As device servers
// have them, mostly from memory (their appendix could not be read): these tables are the one place to correct it. Values only.

/** Verbose text and number. CONNECT has the baud rate behind it in words. */
export const RESULTS = {
  OK: 0,
  CONNECT: 1,
  RING: 2,
  'NO CARRIER': 3,
  ERROR: 4,
} as const;
export type Result = keyof typeof RESULTS;

export const S_AUTO_ANSWER = 0;
export const S_RINGS = 1;
export const S_ESCAPE = 2;
export const S_CR = 3;
export const S_LF = 4;
export const S_BS = 5;
export const S_GUARD = 12;
/** S0 to S27; those without a name are kept and do nothing. */
export const REGISTERS = 28;
export const FACTORY_REGISTERS: Readonly<Record<number, number>> = {
  [S_AUTO_ANSWER]: 0,
  [S_ESCAPE]: 43,
  [S_CR]: 13,
  [S_LF]: 10,
  [S_BS]: 8,
  [S_GUARD]: 50,
};
/** Characters of seven bits, or every line would be out of reach. */
export const CHARACTER_REGISTERS: readonly number[] = [S_CR, S_LF, S_BS];
/** S2 above this: there is no escape. */
export const ESCAPE_OFF = 127;
export const GUARD_UNIT_MS = 20;

/** A letter may have a number behind it, up to this. */
export const NO_EFFECT: Readonly<Record<string, number>> = { B: 99, L: 3, M: 3, '&G': 3, '&R': 1, '&S': 2 };
/** Letters that are kept, and the highest number. */
export const FLAGS = { E: 1, Q: 1, V: 1, X: 4, '&C': 1, '&D': 2 } as const;
export type Flag = keyof typeof FLAGS;
export const FACTORY_FLAGS: Readonly<Record<Flag, number>> = { E: 1, Q: 0, V: 1, X: 4, '&C': 1, '&D': 2 };

export const RING_MS = 2000;
export const RINGS = 3;
/** After a RING, for ATA. */
export const ANSWER_MS = 2500;
/** From ATH, or DTR that drops, to the end of the connection. */
export const HANG_UP_MS = 1000;
/** More than this between two ends of line is no command. */
export const MAX_LINE = 256;
