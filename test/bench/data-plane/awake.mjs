// Keeps the CPUs from going to sleep while round trips are timed: one process of the idle class (SCHED_IDLE) on each, which gives
// way to everything else. To wake a CPU that sleeps takes 5 us here and 70 us there, above all of a virtual machine, and that is
// neither tunnel's merit nor fault.
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { Processes } from './rig.mjs';

const TURN = 'while :; do :; done';

/** undefined where it can be done, else why not. */
export function cannotStayAwake() {
  const tried = spawnSync('taskset', ['-c', '0', 'chrt', '-i', '0', 'true']);
  return tried.status === 0 ? undefined : 'taskset and chrt (util-linux) do not work here';
}

export async function awake(wanted, use) {
  const burners = new Processes();
  try {
    for (const cpu of wanted ? cpus().keys() : []) {
      burners.start('taskset', ['-c', String(cpu), 'chrt', '-i', '0', 'sh', '-c', TURN], { stdio: 'ignore' });
    }
    return await use();
  } finally {
    await burners.stop();
  }
}
