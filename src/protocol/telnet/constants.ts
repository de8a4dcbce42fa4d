// Codes of the telnet protocol: RFC 854 (commands), RFC 856 (BINARY), 857 (ECHO), 858 (SUPPRESS-GO-AHEAD), 2217 (COM-PORT).

export const SE = 240;
export const NOP = 241;
export const DM = 242;
export const BRK = 243;
export const IP = 244;
export const AO = 245;
export const AYT = 246;
export const EC = 247;
export const EL = 248;
export const GA = 249;
export const SB = 250;
export const WILL = 251;
export const WONT = 252;
export const DO = 253;
export const DONT = 254;
export const IAC = 255;

export const TELNET_OPTION = { BINARY: 0, ECHO: 1, SGA: 3, COM_PORT: 44 } as const;

const NAMES: Readonly<Record<number, string>> = {
  [TELNET_OPTION.BINARY]: 'BINARY',
  [TELNET_OPTION.ECHO]: 'ECHO',
  [TELNET_OPTION.SGA]: 'SGA',
  [TELNET_OPTION.COM_PORT]: 'COM-PORT',
};

export function optionName(option: number): string {
  return NAMES[option] ?? `option ${option}`;
}
