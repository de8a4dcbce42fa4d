// Where the processes of a measurement run. Left to the scheduler, a byte is handed from CPU to CPU or not as it happens, and to wake
// another CPU takes 5 us here and 70 us there, above all of a virtual machine: more than what the tunnels differ by. On one CPU
// there is nothing to wake, and what is left is what the tunnel computes and the switches that it causes; a gateway with one core is
// like that. Needs root, for the kernel's own workers carry a PTY's bytes too, and have to stay there as well.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { atEnd } from './rig.mjs';

const WORKERS = '/sys/devices/virtual/workqueue/cpumask';

/** A table's `id` and `title` tell of it. */
export const ANYWHERE = { suffix: '', title: '' };
export const ONE_CPU = { suffix: '-one', title: ', all of it on one CPU' };

function pin(pids, list) {
  for (const pid of pids) {
    const { status, stderr } = spawnSync('taskset', ['-apc', list, String(pid)], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`taskset: ${stderr}`);
  }
}

/** undefined where it can be done, else why not. */
export function notOnOneCpu() {
  try {
    writeFileSync(WORKERS, readFileSync(WORKERS));
  } catch (error) {
    return `the kernel's workers cannot be placed (${error.code}): run it as root`;
  }
  return spawnSync('taskset', ['-pc', String(process.pid)]).status === 0
    ? undefined
    : 'taskset (util-linux) is not here';
}

/** This process, the tunnels and the kernel's workers share the first CPU while `use` runs. */
export async function onOneCpu(running, use) {
  const pids = [process.pid, ...running.flatMap(({ tunnel }) => tunnel.pids)];
  const before = readFileSync(WORKERS, 'utf8');
  const forget = atEnd(() => writeFileSync(WORKERS, before));
  try {
    writeFileSync(WORKERS, '1');
    pin(pids, '0');
    return await use();
  } finally {
    forget();
    pin(pids, `0-${cpus().length - 1}`);
  }
}
