import { afterEach, expect, test, vi } from 'vitest';
import yargs from 'yargs';
import { simulate, simulateCommand } from '../../../src/cli/simulate.js';
import { runSimulator, type SimulatorHandle } from '../../../src/serve/simulator.js';

const simulators: SimulatorHandle[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const simulator of simulators.splice(0)) await simulator.close();
});

const parsed = (...words: string[]) =>
  new Promise<Record<string, unknown>>((resolve, reject) => {
    const { handler: _, ...rest } = simulateCommand;
    const command = { ...rest, handler: (argv: Record<string, unknown>) => resolve(argv) };
    yargs(['simulate', ...words])
      .command(command)
      .strict()
      .exitProcess(false)
      .fail((message, error) => reject(error ?? new Error(message)))
      .parseAsync()
      .catch(reject);
  });

test('what is not said: one port on 127.0.0.1, 950 and 966, paced', async () => {
  expect(await parsed()).toMatchObject({
    ports: 1,
    listen: '127.0.0.1',
    'data-port': 950,
    'command-port': 966,
    unpaced: false,
    'echo-delay': 0,
  });
});

test('everything can be said', async () => {
  const words = ['--ports', '4', '--listen', '0.0.0.0', '--data-port', '4001', '--command-port', '5001'];
  expect(await parsed(...words, '--unpaced', '--echo-delay', '20', '--exec', 'bc -q')).toMatchObject({
    ports: 4,
    listen: '0.0.0.0',
    'data-port': 4001,
    'command-port': 5001,
    unpaced: true,
    'echo-delay': 20,
    exec: 'bc -q',
  });
  await expect(parsed('--no-such-option')).rejects.toThrow(/Unknown argument/);
});

test('a TCP port that is taken is one line with a hint, and exit code 1', async () => {
  const first = await runSimulator({ dataPort: 0, commandPort: 0 });
  simulators.push(first);
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  const taken = first.port(1).commandPort;
  expect(await simulate({ dataPort: taken, commandPort: taken + 1 })).toBe(1);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    new RegExp(`^ttynp simulate: cannot listen on 127.0.0.1 port ${taken}: already in use \\(.*\\)\n$`),
  );
});

test.each([
  [['--ports', 'x'], '--ports must be a whole number'],
  [['--data-port', '4.5'], '--data-port must be a whole number'],
  [['--echo-delay', '-1'], '--echo-delay must be a number of milliseconds, 0 or more'],
  [['--exec', ' '], '--exec names no program'],
])('%j is refused before anything listens', async (words, message) => {
  const argv = yargs(['simulate', '--data-port', '0', ...words])
    .command(simulateCommand)
    .exitProcess(false)
    .fail((_, error) => {
      throw error;
    })
    .parseAsync();
  await expect(argv).rejects.toThrow(message);
});
