// Compiles the addon with cc and node-api-headers; nothing is downloaded. npm runs it as its install script.
// `node build.mjs [--output FILE] [--force] [FLAG ...]`: further flags go to the compiler (sanitize.mjs gives some).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const NEEDS = 'install it with "apt-get install gcc libc6-dev"';

/** What makes the pump without Node; the harness links only these. */
export const CORE = [
  'errno.c',
  'termios_core.c',
  'park.c',
  'keep.c',
  'timers.c',
  'channel.c',
  'channel_up.c',
  'channel_tty.c',
  'channel_calls.c',
  'pump.c',
  'usbip/kept.c',
  'usbip/replies.c',
  'usbip/port.c',
  'usbip/messages.c',
  'usbip/requests.c',
  'usbip/adapter.c',
];
/** What measures; neither the pump nor Node is in it. */
export const LOAD = [
  'load/pattern.c',
  'load/histogram.c',
  'load/wait.c',
  'load/latency.c',
  'load/stream.c',
  'load/duplex.c',
];
const BINDING = [
  'module.c',
  'pump_napi.c',
  'pty.c',
  'termios.c',
  'socket.c',
  'unix_socket.c',
  'notify.c',
  'memfd.c',
  'serial_calls.c',
  'serial_port.c',
  'serial_waiter.c',
  'usbip_napi.c',
  'load_napi.c',
];
export const WARNINGS = ['-std=gnu11', '-Wall', '-Wextra'];

export function fail(text) {
  process.stderr.write(`ttynp: ${text}\n`);
  process.exit(1);
}

/** Runs the compiler; ends the process with one line where it or the C library's headers are missing. */
export function compile(args) {
  const cc = process.env.CC || 'cc';
  const run = spawnSync(cc, args, { cwd: HERE, encoding: 'utf8' });
  if (run.error !== undefined) fail(`no C compiler found: ${NEEDS}`);
  if (run.status === 0) return;
  if (/(std|string|errno|unistd|sys\/\w+|asm\/\w+|linux\/\w+)[\w/]*\.h: No such file/.test(run.stderr)) {
    fail(`the C library's headers are missing: ${NEEDS}`);
  }
  process.stderr.write(run.stderr);
  fail(`${cc} ended with status ${run.status}`);
}

export function buildAddon(output, flags = [], force = false) {
  const include = createRequire(import.meta.url)('node-api-headers').include_dir;
  const args = [
    ...['-O2', '-g', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden', ...WARNINGS, ...flags],
    ...[`-I${include}`, ...CORE, ...LOAD, ...BINDING],
  ];
  const stamp = `${output}.stamp`;
  const wanted = JSON.stringify([process.env.CC ?? 'cc', process.arch, args]);
  const newest = Math.max(
    ...['', 'usbip', 'load']
      .flatMap((folder) => readdirSync(join(HERE, folder)).map((f) => join(folder, f)))
      .filter((f) => /\.(c|h|mjs)$/.test(f))
      .map((f) => statSync(join(HERE, f)).mtimeMs),
  );
  const current =
    existsSync(output) &&
    existsSync(stamp) &&
    statSync(output).mtimeMs >= newest &&
    readFileSync(stamp, 'utf8') === wanted;
  if (current && !force) return;
  mkdirSync(dirname(output), { recursive: true });
  // Compiled beside and renamed: a process that has the old one loaded keeps it.
  const fresh = `${output}.${process.pid}`;
  try {
    compile([...args, '-o', fresh]);
    renameSync(fresh, output);
  } finally {
    rmSync(fresh, { force: true });
  }
  writeFileSync(stamp, wanted);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rest = process.argv.slice(2);
  const at = rest.indexOf('--output');
  const [, output] = at >= 0 ? rest.splice(at, 2) : [];
  const flags = rest.filter((a) => a !== '--force');
  buildAddon(output ?? join(HERE, 'build', 'ttynp.node'), flags, rest.includes('--force'));
}
