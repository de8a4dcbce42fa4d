// What terminals wrote by AT&W: one small file for each serial port in the state directory, replaced as a whole or not at all. What
// cannot be read is as if it had not been written. Without a state directory it is kept as long as this object.
import { readFileSync } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Profile, parseProfile, profileText } from '../../protocol/at/profile.js';
import type { ModemProfiles } from '../../serve/ethernet-modem-options.js';

export class KeptModemProfiles {
  readonly #directory: string | undefined;
  readonly #written = new Map<number, Profile>();

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  of(port: number): ModemProfiles {
    return { kept: this.#written.get(port) ?? this.#read(port), keep: (profile) => this.#keep(port, profile) };
  }

  #read(port: number): Profile | undefined {
    if (this.#directory === undefined) return undefined;
    try {
      return parseProfile(readFileSync(join(this.#directory, nameOf(port)), 'utf8'));
    } catch {
      return undefined;
    }
  }

  async #keep(port: number, profile: Profile): Promise<boolean> {
    if (this.#directory !== undefined && !(await isReplaced(this.#directory, nameOf(port), profileText(profile))))
      return false;
    this.#written.set(port, profile);
    return true;
  }
}

const nameOf = (port: number) => `ethernet-modem-${port}.json`;

/** Whether the file has this text now; else it is as it was. Programs write the same at each start: that costs no disk its life. */
async function isReplaced(directory: string, name: string, text: string): Promise<boolean> {
  const present = await readFile(join(directory, name), 'utf8').catch(() => undefined);
  if (present === text) return true;
  const fresh = join(directory, `.${name}.${process.pid}`);
  try {
    const file = await open(fresh, 'w', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, join(directory, name));
    return true;
  } catch {
    await rm(fresh, { force: true }).catch(() => {});
    return false;
  }
}
