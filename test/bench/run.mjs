// `npm run bench`: what the daemon costs with 256 ttys, measured from outside, on the built program. No assertion: figures for
// people, to be read as such on a machine that does other things too.
//   start-up: until every link exists    idle: CPU in percent of one core    memory: resident set
import { spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PORTS = 256;
const SECONDS = 10;
const TICKS_PER_SECOND = 100;
const root = fileURLToPath(new URL('../../', import.meta.url));
const { runSimulator } = await import(`${root}dist/serve/simulator.js`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentMb(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024);
}

async function idlePercent(pid) {
  await sleep(3000);
  const before = cpuSeconds(pid);
  await sleep(SECONDS * 1000);
  return (((cpuSeconds(pid) - before) / SECONDS) * 100).toFixed(2);
}

const dir = mkdtempSync(join(tmpdir(), 'ttynp-bench-'));
const simulator = await runSimulator({ ports: PORTS, dataPort: 0, commandPort: 0 });
const ttys = simulator.ports.map(
  (port, i) =>
    `  ttyNP${i}: { server: sim, port: ${i + 1}, dataPort: ${port.dataPort}, commandPort: ${port.commandPort} }`,
);
const config = join(dir, 'ttynp.yaml');
writeFileSync(
  config,
  `version: 1\nruntimeDir: ${dir}\nlinkDir: ${dir}\nlog: { level: warn }\nservers: { sim: { address: 127.0.0.1 } }\nttys:\n${ttys.join('\n')}\n`,
);
const began = performance.now();
const daemon = spawn(process.execPath, [`${root}dist/daemon.js`, '-c', config], { stdio: 'inherit' });
const ended = new Promise((resolve) => daemon.once('exit', resolve));
try {
  while (readdirSync(dir).filter((name) => /^ttyNP\d+$/.test(name)).length < PORTS) {
    if (daemon.exitCode !== null) throw new Error('the daemon ended');
    await sleep(5);
  }
  const started = ((performance.now() - began) / 1000).toFixed(2);
  console.log(`${PORTS} ttys`);
  console.log(`  start-up, until every link exists   ${started} s`);
  console.log(`  idle, all closed                    ${await idlePercent(daemon.pid)} % of a core`);
  const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
  const fds = simulator.ports.map((_, i) => openSync(join(dir, `ttyNP${i}`), flags));
  while (!simulator.ports.every((port) => port.up)) await sleep(10);
  console.log(`  idle, all open and connected        ${await idlePercent(daemon.pid)} % of a core`);
  console.log(`  memory                              ${residentMb(daemon.pid)} MB`);
  for (const fd of fds) closeSync(fd);
} finally {
  daemon.kill('SIGTERM');
  await ended;
  await simulator.close();
  rmSync(dir, { recursive: true, force: true });
}
