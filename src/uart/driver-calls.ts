// What a serial port's driver is asked while it is open: one thing after the other, in the order of the calls, so that a device that does
// not answer occupies one thread and no more. A port that is opened again has others: what was asked before is not done then.

export class DriverCalls {
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** The port was closed, or handed over: what an earlier call comes to is nobody's. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Rejects as the call does. undefined: the port was closed before its turn. */
  run<T>(call: () => Promise<T>): Promise<T | undefined> {
    const done = this.#last.then(() => (this.#ended ? undefined : call()));
    this.#last = done.catch(() => {});
    return done;
  }

  /** What has not begun is not done. Resolves when the driver has answered what it was being asked. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#last;
  }
}
