// What an application set on a PTY that will surprise its user, one line each. See termios(3).
import type { LineSettings } from '../serial/line.js';
import { TERMIOS, type Termios } from '../serial/termios.js';

export function ptyWarnings(termios: Termios, configured: LineSettings): string[] {
  const warnings: string[] = [];
  const { ICANON, ECHO, EXTPROC, IXON, ISTRIP, PARMRK, PARODD } = TERMIOS;
  if (termios.lflag & ICANON) {
    warnings.push(
      'line mode is on (ICANON): lines longer than 4095 bytes lose their end; serial programs switch it off',
    );
  }
  if (termios.lflag & ECHO && !(termios.lflag & EXTPROC))
    warnings.push('echo is on (ECHO): what the device sends goes back to it');
  if (termios.iflag & IXON && !(termios.lflag & EXTPROC)) {
    warnings.push('XON/XOFF is obeyed locally (IXON): 0x11 and 0x13 from the device do not reach the application');
  }
  if (termios.iflag & ISTRIP) warnings.push('the eighth bit is stripped from input (ISTRIP)');
  if (termios.iflag & PARMRK && !(termios.lflag & EXTPROC)) warnings.push('0xff is doubled in input (PARMRK)');
  if (termios.cflag & PARODD && configured.parity !== 'odd' && configured.parity !== 'mark') {
    warnings.push('the application asked for odd parity, which a PTY cannot carry: set `format`, e.g. 7O1');
  }
  return warnings;
}
