// The TCP port numbers of a device server's serial ports. Pure arithmetic; opens nothing.
// Follows Moxa's numbering for Real COM: data 950..., command 966..., with a jump of 16 at the 17th port, because 966 is
// already the command port of the first one.

export const DEFAULT_DATA_PORT = 950;
export const DEFAULT_COMMAND_PORT = 966;
/** Of protocols with one TCP port for a serial port: 4001 for the first, as NPorts and ser2net are set up. */
export const DEFAULT_SINGLE_PORT = 4001;
const JUMP = 16;

export interface PortBases {
  /** The data port of serial port 1; 950 where it is not said. */
  readonly dataPort?: number | undefined;
  /** The command port of serial port 1; 966 where it is not said. */
  readonly commandPort?: number | undefined;
}

export interface PortNumbers {
  readonly dataPort: number;
  readonly commandPort: number;
}

/**
 * The numbers of serial port `port` (1-based): base + port - 1, and 16 more from the 17th port on exactly when the two
 * bases are 16 apart. May exceed 65535, or collide from the 33rd port on: the caller checks.
 */
export function portNumbers(port: number, bases: PortBases = {}): PortNumbers {
  const data = bases.dataPort ?? DEFAULT_DATA_PORT;
  const command = bases.commandPort ?? DEFAULT_COMMAND_PORT;
  const offset = port - 1 + (port > JUMP && command - data === JUMP ? JUMP : 0);
  return { dataPort: data + offset, commandPort: command + offset };
}

/** The number of serial port `port` (1-based) where each has one: base + port - 1. May exceed 65535: the caller checks. */
export function singlePortNumber(port: number, base = DEFAULT_SINGLE_PORT): number {
  return base + port - 1;
}
