// What a command prints to and is stopped by. Passed in, so that a command neither asks the terminal nor ends the process.

export interface CommandIo {
  out(text: string): void;
  err(text: string): void;
  /** Width to fit tables in; undefined where output is no terminal: nothing is cut then. */
  readonly columns: number | undefined;
  readonly colour: boolean;
  /** Aborted by Ctrl-C or SIGTERM, for commands that run until then; `dispose` gives the signals back. */
  interrupted(): { readonly signal: AbortSignal; dispose(): void };
  now(): number;
}

export function standardIo(): CommandIo {
  const terminal = process.stdout.isTTY === true;
  const noColour = process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== '';
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    columns: terminal ? process.stdout.columns : undefined,
    colour: terminal && !noColour && process.env.TERM !== 'dumb',
    interrupted() {
      const controller = new AbortController();
      const stop = () => controller.abort();
      process.on('SIGINT', stop);
      process.on('SIGTERM', stop);
      return {
        signal: controller.signal,
        dispose() {
          process.off('SIGINT', stop);
          process.off('SIGTERM', stop);
        },
      };
    },
    now: () => Date.now(),
  };
}
