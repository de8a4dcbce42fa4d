// Builds dist/ before the tests that start the built program, where a source is newer than what was built from it.
// Judges no types: `npm run check:types` does, and the compiler emits all the same.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export default function setup(): void {
  if (newest(`${ROOT}dist`, '.js') >= newest(`${ROOT}src`, '.ts')) return;
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) process.stderr.write(`${stdout}\n`);
}

/** The latest time at which one of the files was written; 0 where there are none. */
function newest(dir: string, suffix: string): number {
  let latest = 0;
  try {
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(suffix) || entry.name.endsWith('.d.ts')) continue;
      latest = Math.max(latest, statSync(`${entry.parentPath}/${entry.name}`).mtimeMs);
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  return latest;
}
