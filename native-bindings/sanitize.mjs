// npm run test:sanitizers: the addon's tests under ASan and UBSan, the pump's harness under TSan and under ASan with leak
// check. Each part is first run with a planted error, which must make it fail: a sanitizer that is silent proves nothing.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAddon, CORE, compile, fail, WARNINGS } from './build.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const OUT = join(HERE, 'build', 'sanitizers');
const MEMORY = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-O1'];
const THREADS = ['-fsanitize=thread', '-fno-omit-frame-pointer', '-O1'];
const PLANTED = '-DTTYNP_PLANTED_ERROR';
const HARNESS_SECONDS = '4';

let failed = false;

function report(part, ok, detail = '') {
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${part}\n`);
  if (ok) return;
  failed = true;
  process.stdout.write(`${detail.split('\n').slice(-200).join('\n')}\n`);
}

function run(command, args, env = {}) {
  const done = spawnSync(command, args, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  return { ok: done.status === 0, output: `${done.stdout ?? ''}${done.stderr ?? ''}${done.error ?? ''}` };
}

/** The run with the planted error has to fail, and by the sanitizer's own report. */
function provesItself(part, { ok, output }, found) {
  report(`${part}: a planted error is found`, !ok && found.test(output), output);
}

function runtimeLibrary() {
  const found = spawnSync(process.env.CC || 'cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = (found.stdout ?? '').trim();
  if (!path.startsWith('/')) fail('no libasan found: install it with "apt-get install gcc libc6-dev"');
  return path;
}

function addon() {
  const sound = join(OUT, 'ttynp.node');
  const planted = join(OUT, 'ttynp-planted.node');
  buildAddon(sound, MEMORY);
  buildAddon(planted, [...MEMORY, PLANTED]);
  // node itself is not instrumented: its own memory at exit is not ours to judge, so that leaks are the harness's part.
  const env = { LD_PRELOAD: runtimeLibrary(), ASAN_OPTIONS: 'detect_leaks=0', UBSAN_OPTIONS: 'print_stacktrace=1' };
  const call = `require(${JSON.stringify(planted)}).plantedError(8)`;
  provesItself('addon under ASan', run(process.execPath, ['-e', call], env), /AddressSanitizer: heap-buffer-overflow/);
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const tests = run(process.execPath, [vitest, 'run', 'test/unit/native', 'test/unit/uart'], {
    ...env,
    TTYNP_ADDON: sound,
  });
  report(
    'addon under ASan and UBSan: test/unit/native, test/unit/uart',
    tests.ok && !/Sanitizer|runtime error/.test(tests.output),
    tests.output,
  );
}

function harness(name, flags, env, found) {
  const build = (output, more) =>
    compile(['-g', '-pthread', ...WARNINGS, ...flags, ...more, ...CORE, 'harness_line.c', 'harness.c', '-o', output]);
  const sound = join(OUT, `harness-${name}`);
  build(sound, []);
  build(`${sound}-planted`, [PLANTED]);
  provesItself(`harness under ${name}`, run(`${sound}-planted`, ['1'], env), found);
  const done = run(sound, [HARNESS_SECONDS], env);
  report(`harness under ${name}: ${done.output.trim().split('\n').pop()}`, done.ok, done.output);
}

mkdirSync(OUT, { recursive: true });
addon();
harness('TSan', THREADS, { TSAN_OPTIONS: 'exitcode=66' }, /ThreadSanitizer: data race/);
harness('ASan with leak check', MEMORY, { ASAN_OPTIONS: 'detect_leaks=1' }, /AddressSanitizer: heap-buffer-overflow/);
process.exit(failed ? 1 : 0);
