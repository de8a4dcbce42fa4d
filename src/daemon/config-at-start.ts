// What a broken configuration does to a service. The first start fails at once, so whoever started it is told. The service
// manager then starts it again and again: those starts wait until the file is mended, so that nobody has to start it by hand,
// the log is not filled, and descriptors that the manager keeps are not lost. Without a service manager there is no waiting.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../base/clock.js';
import { ConfigFault } from '../config/problems.js';
import type { ResolvedConfig } from '../config/resolved.js';

/** Below TimeoutStartSec= of the unit. */
const WAIT_MS = 50_000;
const STEP_MS = 1000;
const MARKER = 'configuration-refused';

export interface ConfigAtStartOptions {
  /** Throws a ConfigFault. */
  readonly load: () => ResolvedConfig;
  /** $RUNTIME_DIRECTORY, which the service manager keeps from one start to the next; undefined: there is none. */
  readonly runtimeDirectory: string | undefined;
  readonly clock: Clock;
  /** Told once why nothing starts. */
  readonly waiting: (error: string) => void;
}

/** Rejects with the ConfigFault at once, or when the waiting is over. */
export async function configAtStart(options: ConfigAtStartOptions): Promise<ResolvedConfig> {
  const { load, runtimeDirectory, clock } = options;
  if (!runtimeDirectory) return load();
  const marker = join(runtimeDirectory, MARKER);
  try {
    return loaded(load, marker);
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    if (mark(marker) === 'first') throw error;
    options.waiting(error.message);
  }
  // Ended while it waits: the next start is a first one again.
  const ended = () => {
    rmSync(marker, { force: true });
    process.exit(0);
  };
  process.once('SIGTERM', ended);
  try {
    return await mended(load, marker, clock);
  } finally {
    process.off('SIGTERM', ended);
  }
}

async function mended(load: () => ResolvedConfig, marker: string, clock: Clock): Promise<ResolvedConfig> {
  for (let waited = 0; ; waited += STEP_MS) {
    await sleep(clock, STEP_MS);
    try {
      return loaded(load, marker);
    } catch (error) {
      if (waited + STEP_MS >= WAIT_MS || !(error instanceof ConfigFault)) throw error;
    }
  }
}

function loaded(load: () => ResolvedConfig, marker: string): ResolvedConfig {
  const config = load();
  rmSync(marker, { force: true });
  return config;
}

function mark(marker: string): 'first' | 'again' {
  if (existsSync(marker)) return 'again';
  try {
    writeFileSync(marker, '');
  } catch {
    // A full disk: each start is a first one.
  }
  return 'first';
}
