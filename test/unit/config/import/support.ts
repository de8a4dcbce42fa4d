// Loads a configuration's text as the daemon does, from a folder of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../../src/config/load.js';
import type { ResolvedConfig } from '../../../../src/config/resolved.js';

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'ttynp-import-'));

  /** Throws with every error where there is one. */
  load(text: string): ResolvedConfig {
    const file = join(this.path, 'ttynp.yaml');
    writeFileSync(file, text);
    return loadConfig(file, { uid: 1000, runtimeHome: '/run/user/1000', devWritable: false }).config;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
