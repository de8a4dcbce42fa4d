// TCP port numbers of a device server's serial ports. Follows docs/protocol/realcom.md section 1.1.

export const DEFAULT_DATA_PORT = 950;
export const DEFAULT_COMMAND_PORT = 966;

/** First serial port whose numbers jump: 950 + 16 is already the command port of port 1. */
const FIRST_AFTER_JUMP = 17;
const JUMP = 16;

export interface PortNumbers {
  readonly dataPort: number;
  readonly commandPort: number;
}

/**
 * The TCP ports of serial port `n` (from 1). base + n - 1, and from the 17th on 16 more, exactly where the two bases
 * lie 16 apart (else the data ports of 17.. would be the command ports of 1..).
 */
export function portNumbers(
  n: number,
  dataBase: number = DEFAULT_DATA_PORT,
  commandBase: number = DEFAULT_COMMAND_PORT,
): PortNumbers {
  const jump = n >= FIRST_AFTER_JUMP && commandBase - dataBase === JUMP ? JUMP : 0;
  return { dataPort: dataBase + n - 1 + jump, commandPort: commandBase + n - 1 + jump };
}
