// `ttynp links`, for the service and not for people: the names of the ttys in /dev, made by root for a daemon that runs
// without. Makes only links that the configuration names and that lead into the daemon's runtime directory, takes away only
// such links, and never replaces anything else. See docs/architecture.md, "What runs where".
import { readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CommandModule } from 'yargs';
import { type Clock, SystemClock } from '../base/clock.js';
import { Fault, messageOf } from '../base/fault.js';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.js';
import type { Environment, ResolvedConfig, ResolvedTty } from '../config/resolved.js';
import { CHOICE_FILE, readChoices } from '../daemon/backend/choice-file.js';
import { NAMES_FILE, namesIn } from '../tty/usbip/names.js';
import type { CommandIo } from './io.js';
import { type GlobalArguments, SOCKET_NAME } from './socket.js';

/** What comes or goes while the service manager thinks that we still run starts nothing: look again before the end. */
const SETTLE_MS = 250;
/** For so many looks udev has to take away what became the name of a PTY. */
const UDEV_LOOKS = 40;

export interface LinkChanges {
  readonly made: readonly string[];
  readonly removed: readonly string[];
  /** What could not be done, a line each. */
  readonly problems: readonly string[];
  /** Names that udev still has. */
  readonly pending: readonly string[];
}

/** As the service sees it, whoever asks: root's runtime directory, and names in /dev. */
const SERVICE: Environment = { uid: 0, runtimeHome: undefined, devWritable: true };

type LinksArguments = GlobalArguments & { readonly dev: string; readonly state: string };

export const linksCommand = (io: CommandIo): CommandModule<GlobalArguments, LinksArguments> => ({
  command: 'links',
  describe: false,
  builder: (yargs) =>
    yargs
      .option('dev', { type: 'string', default: '/dev', describe: 'Where the links are made' })
      .option('state', { type: 'string', default: '/var/lib/ttynp', describe: 'What the daemon remembers' }),
  handler: async (args) => {
    const changes = await settledLinks(() => configured(args), args, new SystemClock());
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
async function settledLinks(
  config: () => ResolvedConfig,
  { dev, state }: Pick<LinksArguments, 'dev' | 'state'>,
  clock: Clock,
): Promise<LinkChanges> {
  const made: string[] = [];
  const removed: string[] = [];
  for (let looks = 1; ; looks++) {
    const changes = updateLinks(config(), dev, state);
    made.push(...changes.made);
    removed.push(...changes.removed);
    const waits = changes.pending.length > 0 && looks < UDEV_LOOKS;
    if (changes.made.length + changes.removed.length === 0 && !waits) {
      const late = changes.pending.map((path) => `${path}: is still udev's`);
      return { made, removed, problems: [...changes.problems, ...late], pending: changes.pending };
    }
    await pause(clock, SETTLE_MS);
  }
}

/**
 * Brings the links in `dev` to what the configuration wants: one per tty and alias while a daemon lives, none without.
 * A link that is wanted is made before its tty is there, so a name never comes late.
 * @param state the daemon's state directory
 */
export function updateLinks(config: ResolvedConfig, dev: string, state: string): LinkChanges {
  const { runtimeDir } = config;
  const wanted = wantedLinks(config, dev, state);
  const pending: string[] = [];
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
      if (takeAway(path, runtimeDir)) removed.push(path);
    });
  }
  for (const [path, target] of wanted) {
    const there = linkTarget(path);
    if (there === target) continue;
    // It was the name of a serial port of the kernel: replaced now, udev would take ours away in its stead.
    if (there !== undefined && /^ttyUSB\d+$/.test(there)) {
      pending.push(path);
      continue;
    }
    attempt(path, () => {
      place(path, target, runtimeDir);
      made.push(path);
    });
  }
  return { made, removed, problems, pending };
}

function wantedLinks(config: ResolvedConfig, dev: string, state: string): Map<string, string> {
  const { runtimeDir } = config;
  const wanted = new Map<string, string>();
  // Where the operator wants the names elsewhere, the daemon makes them there itself.
  const elsewhere = config.linkDir !== '/dev' && config.linkDir !== dev;
  if (elsewhere || !entries(runtimeDir).includes(SOCKET_NAME)) return wanted;
  const isPty = ownerOf(runtimeDir, state);
  for (const tty of config.ttys) {
    if (!isPty(tty)) continue;
    for (const name of [tty.name, ...tty.aliases]) wanted.set(join(dev, name), join(runtimeDir, tty.name));
  }
  return wanted;
}

/**
 * Every name has one owner: those of kernel ttys are udev's. What the configuration leaves to the daemon its map of names, its
 * memory and at last its own links tell.
 */
function ownerOf(runtimeDir: string, state: string): (tty: ResolvedTty) => boolean {
  const udevs = namesIn(text(join(runtimeDir, NAMES_FILE)));
  const links = new Set(entries(runtimeDir));
  const kept = remembered(state);
  return ({ name, backend }) => {
    if (backend === 'usbip' || udevs.has(name)) return false;
    if (backend === 'pty') return true;
    const choice = kept.get(name);
    return choice === undefined ? links.has(name) : choice.backend === 'pty';
  };
}

function remembered(state: string): ReturnType<typeof readChoices> {
  try {
    return readChoices(join(state, CHOICE_FILE));
  } catch {
    return new Map(); // the daemon says it
  }
}

/** Whether it was ours still: udev may have taken the name over between two looks. */
function takeAway(path: string, runtimeDir: string): boolean {
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}.old`);
  renameSync(path, aside);
  if (dirname(linkTarget(aside) ?? '') === runtimeDir) {
    rmSync(aside);
    return true;
  }
  renameSync(aside, path);
  return false;
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

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // the daemon's directory goes with it
  }
}
