// Replaces a configuration file as a whole, or not at all: a new file beside it takes its place, with its mode and owner.
// Never follows a link to write through it, and never writes over what changed since it was read.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Fault, type FaultCode, messageOf } from '../base/fault.js';

/** @param before what the file held when it was read. Throws PERMISSION, CONFIG_INVALID (changed meanwhile), SYSTEM. */
export function replaceFile(file: string, before: string, text: string): void {
  try {
    replace(realpathSync(file), before, text);
  } catch (error) {
    if (error instanceof Fault) throw error;
    const errno = error instanceof Error && 'code' in error ? error.code : undefined;
    const code: FaultCode = errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS' ? 'PERMISSION' : 'SYSTEM';
    throw new Fault(code, `${file} cannot be written: ${messageOf(error).split(', ')[0]}`, { cause: error });
  }
}

function replace(path: string, before: string, text: string): void {
  const { mode, uid, gid } = statSync(path);
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    try {
      const own = fstatSync(fd);
      if (own.uid !== uid || own.gid !== gid) fchownSync(fd, uid, gid);
      fchmodSync(fd, mode & 0o7777);
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (readFileSync(path, 'utf8') !== before) {
      throw new Fault('CONFIG_INVALID', `${path} was changed by somebody else meanwhile: nothing is written`);
    }
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
