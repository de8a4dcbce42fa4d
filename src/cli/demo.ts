// `ttynp demo`: a device server with loop plugs, the daemon and two ttys in a private folder, without root; checks itself,
// then stays up to be played with. Needs no running daemon, and touches nothing outside of its folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandModule } from 'yargs';
import type { SimulatorHandle } from '../serve/simulator.js';
import { selfCheck } from './demo/self-check.js';

interface DemoArguments {
  readonly once: boolean;
}

const PORTS = 2;
const START_MS = 10_000;

export const demoCommand: CommandModule<object, DemoArguments> = {
  command: 'demo',
  describe: 'Show it all on this machine: device server, daemon and two ttys, without root',
  builder: (yargs) =>
    yargs.option('once', { type: 'boolean', default: false, describe: 'End after the self-check, with 0 or 1' }),
  handler: async (argv) => {
    process.exitCode = await demo(argv.once);
  },
};

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Resolves with the exit code. */
async function demo(once: boolean): Promise<number> {
  // Only here, as in simulate.ts.
  const { runSimulator } = await import('../serve/simulator.js');
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-demo-'));
  const stop = untilInterrupted();
  let simulator: SimulatorHandle | undefined;
  let daemon: ChildProcess | undefined;
  try {
    simulator = await runSimulator({ ports: PORTS, dataPort: 0, commandPort: 0 });
    const config = writeConfig(dir, simulator);
    daemon = startDaemon(config);
    const ttys = Array.from({ length: PORTS }, (_, i) => join(dir, `ttyNP${i}`));
    await linksExist(ttys, daemon);
    introduce(simulator, daemon, config, ttys);
    const ok = await showChecks(simulator, ttys[0] ?? '');
    if (once || !ok) return ok ? 0 : 1;
    invite(dir, ttys);
    await stop;
    return 0;
  } finally {
    await endDaemon(daemon);
    await simulator?.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function writeConfig(dir: string, simulator: SimulatorHandle): string {
  const ttys = Array.from({ length: PORTS }, (_, i) => {
    const { dataPort, commandPort } = simulator.port(i + 1);
    return `  ttyNP${i}: { server: simulator, port: ${i + 1}, dataPort: ${dataPort}, commandPort: ${commandPort} }`;
  });
  const file = join(dir, 'ttynp.yaml');
  writeFileSync(
    file,
    `version: 1
runtimeDir: ${dir}
linkDir: ${dir}
log: { level: warn }
servers:
  simulator: { address: ${simulator.address} }
ttys:
${ttys.join('\n')}
`,
  );
  return file;
}

function startDaemon(config: string): ChildProcess {
  const program = fileURLToPath(new URL('../daemon.js', import.meta.url));
  // Its own process group: Ctrl-C in the terminal ends the demo, and the demo ends the daemon.
  return spawn(process.execPath, [program, '-c', config], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
}

async function linksExist(paths: readonly string[], daemon: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_MS;
  const exists = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  while (!paths.every(exists)) {
    if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode}`);
    if (performance.now() > deadline) throw new Error(`the daemon made no tty within ${START_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function introduce(simulator: SimulatorHandle, daemon: ChildProcess, config: string, ttys: readonly string[]): void {
  say('ttynp demo: a device server, the daemon and two serial ports, all on this machine');
  say('');
  simulator.ports.forEach((port, i) => {
    const where = `${simulator.address}, data port ${port.dataPort}, command port ${port.commandPort}`;
    say(`  device server   port ${i + 1}: a loop plug behind ${where}`);
  });
  say(`  daemon          pid ${daemon.pid}, ${config}`);
  for (const tty of ttys) say(`  tty             ${tty}`);
  say('');
}

async function showChecks(simulator: SimulatorHandle, path: string): Promise<boolean> {
  let ok = true;
  for await (const result of selfCheck(simulator, path)) {
    ok &&= result.ok;
    say(`  ${result.ok ? 'ok    ' : 'FAILED'}  ${result.name.padEnd(10)}  ${result.text}`);
  }
  say('');
  say(ok ? 'All checks passed.' : 'The demo does not work on this machine: see what failed above.');
  return ok;
}

function invite(dir: string, ttys: readonly string[]): void {
  const cli = 'npx ttynp';
  say('');
  say('Try it from another terminal; what you send comes back:');
  say(`  picocom -b 115200 ${ttys[0]}`);
  say(`  ${cli} --socket ${join(dir, 'control.sock')} ports`);
  say(`  ${cli} --socket ${join(dir, 'control.sock')} trace ttyNP0`);
  say('');
  say('Ctrl-C ends the demo.');
}

function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

async function endDaemon(daemon: ChildProcess | undefined): Promise<void> {
  if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
  daemon.kill('SIGTERM');
  await ended;
}
