// What the line told while a client read nothing: the last of each kind, line errors together. Bounded by the kinds there are.
import type { LineReport } from '../serial/line.js';

export class UntoldReports {
  readonly #reports = new Map<LineReport['type'], LineReport>();

  add(report: LineReport): void {
    const before = this.#reports.get(report.type);
    if (report.type !== 'errors' || before?.type !== 'errors') {
      this.#reports.set(report.type, report);
      return;
    }
    const { errors } = report;
    this.#reports.set('errors', {
      type: 'errors',
      errors: {
        parity: errors.parity || before.errors.parity,
        framing: errors.framing || before.errors.framing,
        overrun: errors.overrun || before.errors.overrun,
        bufferOverrun: errors.bufferOverrun || before.errors.bufferOverrun,
      },
    });
  }

  /** They are the caller's to tell. */
  take(): LineReport[] {
    const reports = [...this.#reports.values()];
    this.#reports.clear();
    return reports;
  }
}
