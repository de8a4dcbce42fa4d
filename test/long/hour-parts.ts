// What test/long/hour.test.ts is made of: device servers that are processes and can die, the process that has all ttys open, and
// the table of what was found. Asserts nothing.
import { fileURLToPath } from 'node:url';
import { Child, CLI, eventually } from '../support/e2e.js';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A device server that is started again on the same TCP ports after it was killed. */
export class Device {
  #child: Child | undefined;
  readonly #argv: readonly string[];
  readonly #ready: string;

  private constructor(argv: readonly string[], ready: string) {
    this.#argv = argv;
    this.#ready = ready;
  }

  static realCom(ports: number, dataPort: number, commandPort: number): Device {
    const numbers = ['--ports', `${ports}`, '--data-port', `${dataPort}`, '--command-port', `${commandPort}`];
    return new Device([CLI, 'simulate', '--unpaced', ...numbers], 'Ctrl-C');
  }

  static tcp(ports: number, dataPort: number): Device {
    return new Device([here('hour-echo.mjs'), `${dataPort}`, `${ports}`], 'ready');
  }

  async start(): Promise<void> {
    const child = new Child([process.execPath, ...this.#argv]);
    this.#child = child;
    await eventually(
      () => `a device server listens\n${child.stdout}${child.stderr}`,
      () => {
        if (child.end) throw new Error(`it ended: ${child.stdout}${child.stderr}`);
        return child.stdout.includes(this.#ready);
      },
      30_000,
    );
  }

  async kill(): Promise<void> {
    this.#child?.signal('SIGKILL');
    await this.#child?.ended;
  }

  /** The process stands, or goes on: its connections stay, and nothing is answered. */
  pause(on: boolean): void {
    this.#child?.signal(on ? 'SIGSTOP' : 'SIGCONT');
  }
}

export interface Group {
  readonly ports: number;
  /** That came back. */
  readonly bytes: number;
  /** Messages: written, back whole, never back, doubled or out of order, with a wrong byte, on their way at the end. */
  readonly sent: number;
  readonly received: number;
  readonly missing: number;
  readonly disorder: number;
  readonly changed: number;
  readonly unfinished: number;
  /** Bytes that belong to no whole message. */
  readonly torn: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface TrafficReport {
  readonly groups: Readonly<Record<string, Group>>;
  readonly hangups: number;
  /** How much later than due the applications' own process came to anything: it is part of the times above. */
  readonly ownDelay: { readonly p99Ms: number; readonly maxMs: number };
}

/** The applications at all ttys, in a process of their own. */
export class Traffic {
  readonly #child: Child;

  constructor(ttys: readonly { readonly path: string; readonly group: string }[], intervalMs: number) {
    this.#child = new Child([process.execPath, here('hour-traffic.mjs'), JSON.stringify(ttys), `${intervalMs}`]);
  }

  async ask(word: 'report' | 'stop'): Promise<TrafficReport> {
    const from = this.#child.stdout.length;
    this.#child.process.stdin.write(`${word}\n`);
    return JSON.parse(
      await eventually(
        () => `the applications' ${word}\n${this.#child.stderr}`,
        () => {
          if (this.#child.end) throw new Error(`they ended: ${this.#child.stderr}`);
          return /^{.*}\n/.exec(this.#child.stdout.slice(from))?.[0];
        },
        60_000,
      ),
    );
  }

  async close(): Promise<void> {
    this.#child.signal('SIGKILL');
    await this.#child.ended;
  }
}

/** Rows of equal length as a table of Markdown; the first one is its head. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)));
  const widths = (texts[0] ?? []).map((_, i) => Math.max(...texts.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const [head = [], ...body] = texts;
  return [line(head), rule, ...body.map(line)].join('\n');
}

export function trafficTable({ groups }: TrafficReport): string {
  const head = ['ttys', 'messages', 'KB back', 'wrong', 'torn bytes', 'never back', 'p50 ms', 'p99 ms', 'most ms'];
  const rows = Object.entries(groups).map(([name, g]) => [
    ...[
      `${g.ports} ${name}`,
      g.sent,
      Math.round(g.bytes / 1000),
      g.disorder + g.changed,
      g.torn,
      g.missing + g.unfinished,
    ],
    ...[g.p50Ms, g.p99Ms, Math.round(g.maxMs * 10) / 10],
  ]);
  return table([head, ...rows]);
}
