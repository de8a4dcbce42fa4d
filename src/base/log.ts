// What every room may say. The implementation (winston) lives in observe/; base knows no transport.

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Structured fields beside the text: tty, server, peer, event, ... Values are plain JSON. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  log(level: LogLevel, message: string, fields?: LogFields): void;
  /** A log that adds these fields to each line. */
  child(fields: LogFields): Log;
}

export const silentLog: Log = {
  log() {},
  child: () => silentLog,
};
