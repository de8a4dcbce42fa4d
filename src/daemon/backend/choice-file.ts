// The file that the choices of backends outlive the daemon and the machine's reboots in: JSON, replaced as a whole. What
// cannot be read or written is told and is no failure: then the choices are as good as this process is old.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../base/fault.js';

const Choice = z.object({
  backend: z.enum(['pty', 'usbip']),
  /** ISO 8601. */
  at: z.string().max(40),
  why: z.string().max(1000),
});
const File = z.object({ version: z.literal(1), ttys: z.record(z.string(), Choice) });

export type BackendChoice = Readonly<z.output<typeof Choice>>;

/** In the state directory. */
export const CHOICE_FILE = 'backends.json';

/** By the name of the tty. Empty where there is no file; throws where it is not to be understood. */
export function readChoices(file: string): Map<string, BackendChoice> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return new Map();
    throw error;
  }
  const parsed = File.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(parsed.error.issues[0]?.message ?? 'not understood');
  return new Map(Object.entries(parsed.data.ttys));
}

/** Undefined where it is written; else why it is not. */
export function writeChoices(file: string, choices: ReadonlyMap<string, BackendChoice>): string | undefined {
  const text = `${JSON.stringify({ version: 1, ttys: Object.fromEntries(choices) }, null, 1)}\n`;
  const fresh = join(dirname(file), `.backends.${process.pid}`);
  try {
    const fd = openSync(fresh, 'w', 0o644);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
    return undefined;
  } catch (error) {
    try {
      rmSync(fresh, { force: true });
    } catch {
      // the directory is gone too
    }
    return messageOf(error);
  }
}
