// `ttynp links`, for the service and not for people: the names of the ttys in /dev, made by root for a daemon that runs
// without. Makes only links that the configuration names and that lead into the daemon's runtime directory, takes away only
// such links, and never replaces anything else. See docs/architecture.md, "What runs where".
import { readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CommandModule } from 'yargs';
import { type Clock, SystemClock } from '../base/clock.js';
import { Fault, messageOf } from '../base/fault.js';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.js';
import type { Environment, ResolvedConfig } from '../config/resolved.js';
import type { CommandIo } from './io.js';
import { type GlobalArguments, SOCKET_NAME } from './socket.js';

/** What comes or goes while the service manager thinks that we still run starts nothing: look again before the end. */
const SETTLE_MS = 250;

export interface LinkChanges {
  readonly made: readonly string[];
  readonly removed: readonly string[];
  /** What could not be done, a line each. */
  readonly problems: readonly string[];
}

/** As the service sees it, whoever asks: root's runtime directory, and names in /dev. */
const SERVICE: Environment = { uid: 0, runtimeHome: undefined, devWritable: true };

type LinksArguments = GlobalArguments & { readonly dev: string };

export const linksCommand = (io: CommandIo): CommandModule<GlobalArguments, LinksArguments> => ({
  command: 'links',
  describe: false,
  builder: (yargs) => yargs.option('dev', { type: 'string', default: '/dev', describe: 'Where the links are made' }),
  handler: async (args) => {
    const changes = await settledLinks(() => configured(args), args.dev, new SystemClock());
    for (const path of changes.made) io.out(`${path}: made\n`);
    for (const path of changes.removed) io.out(`${path}: removed\n`);
    for (const problem of changes.problems) io.err(`${problem}\n`);
    if (changes.problems.length > 0) process.exitCode = 1;
  },
});

function configured(args: GlobalArguments): ResolvedConfig {
  return loadConfig(args.config ?? DEFAULT_CONFIG_FILE, SERVICE).config;
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** Until a second look finds nothing left to do. */
async function settledLinks(config: () => ResolvedConfig, dev: string, clock: Clock): Promise<LinkChanges> {
  const made: string[] = [];
  const removed: string[] = [];
  for (;;) {
    const changes = updateLinks(config(), dev);
    made.push(...changes.made);
    removed.push(...changes.removed);
    if (changes.made.length + changes.removed.length === 0) return { made, removed, problems: changes.problems };
    await pause(clock, SETTLE_MS);
  }
}

/**
 * Brings the links in `dev` to what the configuration wants: one per tty and alias while a daemon lives, none without.
 * A link that is wanted is made before its tty is there, so a name never comes late.
 */
export function updateLinks(config: ResolvedConfig, dev: string): LinkChanges {
  const { runtimeDir } = config;
  const wanted = wantedLinks(config, dev);
  const made: string[] = [];
  const removed: string[] = [];
  const problems: string[] = [];
  const attempt = (path: string, act: () => void) => {
    try {
      act();
    } catch (error) {
      problems.push(`${path}: ${messageOf(error)}`);
    }
  };
  for (const name of readdirSync(dev)) {
    const path = join(dev, name);
    const target = linkTarget(path);
    if (target === undefined || dirname(target) !== runtimeDir || wanted.has(path)) continue;
    attempt(path, () => {
      rmSync(path);
      removed.push(path);
    });
  }
  for (const [path, target] of wanted) {
    if (linkTarget(path) === target) continue;
    attempt(path, () => {
      place(path, target, runtimeDir);
      made.push(path);
    });
  }
  return { made, removed, problems };
}

function wantedLinks(config: ResolvedConfig, dev: string): Map<string, string> {
  const { runtimeDir } = config;
  const wanted = new Map<string, string>();
  // Where the operator wants the names elsewhere, the daemon makes them there itself.
  const elsewhere = config.linkDir !== '/dev' && config.linkDir !== dev;
  if (elsewhere || !entries(runtimeDir).includes(SOCKET_NAME)) return wanted;
  for (const tty of config.ttys) {
    // Every name has one owner: those of kernel ttys are udev's.
    if (tty.backend === 'usbip') continue;
    for (const name of [tty.name, ...tty.aliases]) wanted.set(join(dev, name), join(runtimeDir, tty.name));
  }
  return wanted;
}

/** Throws where something lies there that is not ours. */
function place(path: string, target: string, runtimeDir: string): void {
  const there = linkTarget(path);
  if (there !== undefined && dirname(there) === runtimeDir) {
    const fresh = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
    symlinkSync(target, fresh);
    renameSync(fresh, path);
    return;
  }
  try {
    symlinkSync(target, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    const what = there === undefined ? 'is there already' : `is a link to ${there}`;
    throw new Fault('LINK_PATH_TAKEN', `${what}, ttynp did not make it: remove it or choose another name`);
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // nothing there, or no link
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // the daemon's directory goes with it
  }
}
