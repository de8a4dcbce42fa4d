// A Python that a test tells, line by line, what to do with pyserial: the application is somebody else's, and its
// exceptions come back as text.
import { Child, eventually } from './e2e-process.js';

const LOOP = `
import sys, json, time, os, termios, serial
names = globals()
for line in sys.stdin:
    code = json.loads(line)
    try:
        try:
            value = eval(code, names)
        except SyntaxError:
            value = exec(code, names)
        if isinstance(value, (bytes, bytearray)):
            value = value.hex()
        answer = {'value': value}
    except BaseException as error:
        answer = {'error': '%s: %s' % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
`;

export class Python {
  readonly child = new Child(['/usr/bin/python3', '-u', '-c', LOOP]);
  #taken = 0;

  /** Evaluates an expression or runs statements; bytes come back as hex. Rejects with the text of an exception. */
  async run(code: string, timeoutMs = 20_000): Promise<unknown> {
    this.child.process.stdin.write(`${JSON.stringify(code)}\n`);
    const line = await eventually(
      () => `python: ${code}\n${this.child.stderr}`,
      () => {
        const rest = this.child.stdout.slice(this.#taken);
        const end = rest.indexOf('\n');
        return end < 0 ? undefined : rest.slice(0, end + 1);
      },
      timeoutMs,
    );
    this.#taken += line.length;
    const answer: unknown = JSON.parse(line);
    if (typeof answer !== 'object' || answer === null) throw new Error(line);
    if ('error' in answer) throw new Error(String(answer.error));
    return 'value' in answer ? answer.value : undefined;
  }

  async close(): Promise<void> {
    this.child.process.stdin.end();
    await this.child.exit();
  }
}
