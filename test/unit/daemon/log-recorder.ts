// A log that a test reads: one string a line, its level first.
import type { Log, LogLevel } from '../../../src/base/log.js';

export class LogRecorder implements Log {
  readonly lines: string[] = [];

  log(level: LogLevel, message: string): void {
    this.lines.push(`${level}: ${message}`);
  }

  child(): Log {
    return this;
  }
}
