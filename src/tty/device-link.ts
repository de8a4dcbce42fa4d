// The names under which an application finds a tty: symbolic links, moved into place by rename(2) so that a name never
// dangles. Never replaces a device node or somebody else's link; a regular file in the way (an application that wrote
// to the name while nothing was there) is renamed NAME.stray and reported.
import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Fault, messageOf } from '../base/fault.js';

export interface DeviceLinkOptions {
  /** Where the link to the pts lies; ours alone. It exists. */
  readonly runtimeDir: string;
  /** Where applications look, /dev or the same as runtimeDir. */
  readonly linkDir: string;
  readonly name: string;
  readonly aliases: readonly string[];
  /** Something was moved out of the way. */
  readonly report: (message: string) => void;
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** The target of a symbolic link; undefined where nothing lies there; false where something else does. */
function linkTarget(path: string): string | undefined | false {
  try {
    if (!lstatSync(path).isSymbolicLink()) return false;
    return readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function replaceLink(path: string, target: string): void {
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  rmSync(fresh, { force: true });
  symlinkSync(target, fresh);
  renameSync(fresh, path);
}

export class DeviceLink {
  readonly #o: DeviceLinkOptions;
  #made: { path: string; target: string }[] = [];

  constructor(options: DeviceLinkOptions) {
    this.#o = options;
  }

  /** What an application opens: under /dev also where somebody with the right to do so made the link for us. */
  get path(): string {
    const own = join(this.#o.linkDir, this.#o.name);
    if (this.#o.linkDir !== this.#o.runtimeDir) return own;
    const inDev = join('/dev', this.#o.name);
    return linkTarget(inDev) === this.#inner ? inDev : own;
  }

  /** The link of this tty to its pts, in the runtime directory. */
  get #inner(): string {
    return join(this.#o.runtimeDir, this.#o.name);
  }

  /**
   * Makes all names lead to `devicePath`, or moves them there at once. Throws a Fault: LINK_PATH_TAKEN where a foreign
   * thing lies at a name, PERMISSION, SYSTEM; what was made before is taken away then.
   */
  publish(devicePath: string): void {
    try {
      this.#place(this.#inner, devicePath, (target) => /^\/dev\/pts\/\d+$/.test(target));
      if (this.#o.linkDir !== this.#o.runtimeDir) {
        this.#place(this.path, this.#inner, (target) => target === this.#inner);
      }
      for (const alias of this.#o.aliases) {
        this.#place(join(this.#o.linkDir, alias), this.#inner, (target) => target === this.#inner);
      }
    } catch (error) {
      this.remove();
      throw error instanceof Fault ? error : this.#fault(error);
    }
  }

  /** Takes away the names that still are ours. */
  remove(): void {
    for (const { path, target } of this.#made) {
      try {
        if (linkTarget(path) === target) rmSync(path);
      } catch (error) {
        this.#o.report(`${path}: cannot remove: ${messageOf(error)}`);
      }
    }
    this.#made = [];
  }

  #place(path: string, target: string, ours: (target: string) => boolean): void {
    const there = linkTarget(path);
    if (there === false) this.#makeRoom(path);
    else if (there !== undefined && there !== target && !ours(there)) {
      throw new Fault(
        'LINK_PATH_TAKEN',
        `${path} is a link to ${there} that ttynp did not make: remove it or choose another name`,
      );
    }
    // After a restart it does already, and whoever watches the folder has nothing to see.
    if (there !== target) replaceLink(path, target);
    this.#made = [...this.#made.filter((link) => link.path !== path), { path, target }];
  }

  #makeRoom(path: string): void {
    const stat = lstatSync(path);
    if (!stat.isFile()) {
      const what = stat.isDirectory() ? 'a directory' : 'a device node or another special file';
      throw new Fault(
        'LINK_PATH_TAKEN',
        `${path} is ${what} that ttynp did not make: remove it or choose another name`,
      );
    }
    renameSync(path, `${path}.stray`);
    this.#o.report(`${path} was a regular file: renamed to ${path}.stray`);
  }

  #fault(error: unknown): Fault {
    const code = errnoOf(error);
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      return new Fault('PERMISSION', `${this.path}: cannot make the link (${code}): run as root or set linkDir`, {
        cause: error,
      });
    }
    return new Fault('SYSTEM', `${this.path}: cannot make the link: ${messageOf(error)}`, { cause: error });
  }
}
