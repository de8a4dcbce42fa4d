// Which backend a tty with `backend: auto` has: usbip where this machine gives it, else pty. What was chosen stays, over
// restarts and reboots, until the configuration names a backend or somebody asks to choose again: neither does a kernel
// without the module take parity away from an application, nor does its PTY become another device. See docs/usbip.md.
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { ChoiceView } from '../../api/types.js';
import type { Clock } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import type { ResolvedConfig, ResolvedTty } from '../../config/resolved.js';
import { type BackendChoice, readChoices, writeChoices } from './choice-file.js';
import { type Backend, lacks } from './needs.js';

export interface BackendChoicesOptions {
  /** Where choices are remembered; undefined: nowhere, and auto is pty. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Why this machine does not give usbip; undefined: it does. Never rejects. */
  readonly usbipTrouble: () => Promise<string | undefined>;
}

/** Choices of ttys that are configured no more are kept, as long as they are not too many. */
const MAX_KEPT = 4096;

const NOWHERE =
  'choices cannot be remembered here: a service has StateDirectory= for it; set backend: usbip to have it';

export class BackendChoices {
  readonly #o: BackendChoicesOptions;
  #kept: Map<string, BackendChoice>;
  /** Of the ttys that the configuration leaves to us, also where it is not kept. */
  readonly #current = new Map<string, BackendChoice>();
  readonly #fresh: BackendChoice[] = [];
  #first = true;

  constructor(options: BackendChoicesOptions) {
    this.#o = options;
    this.#kept = new Map();
    if (options.file === undefined) return;
    try {
      this.#kept = readChoices(options.file);
    } catch (error) {
      const text = `${options.file}: ${messageOf(error)}: which backends were chosen is not known any more`;
      options.log.log('warn', text, { event: 'backend' });
    }
  }

  /**
   * The configuration with a backend for every tty. Never rejects.
   * @param again whether what was chosen for this tty before is forgotten
   */
  async choose(config: ResolvedConfig, again: (name: string) => boolean = () => false): Promise<ResolvedConfig> {
    const before = JSON.stringify([...this.#kept]);
    let trouble: Promise<string | undefined> | undefined;
    const usbipTrouble = () => {
      trouble ??= this.#o.usbipTrouble();
      return trouble;
    };
    this.#current.clear();
    const ttys: ResolvedTty[] = [];
    for (const tty of config.ttys) {
      if (tty.backend !== 'auto' || again(tty.name)) this.#kept.delete(tty.name);
      if (tty.backend !== 'auto') ttys.push(tty);
      else ttys.push({ ...tty, backend: await this.#choose(config, tty, again(tty.name), usbipTrouble) });
    }
    this.#first = false;
    this.#tell();
    this.#forgetSome(config);
    if (JSON.stringify([...this.#kept]) !== before) this.#write();
    return { ...config, ttys };
  }

  /** How a tty came to its backend. */
  view(name: string): ChoiceView {
    const choice = this.#current.get(name);
    if (choice === undefined) return { by: 'configuration', at: null, why: null };
    return { by: 'auto', at: choice.at, why: choice.why };
  }

  async #choose(
    config: ResolvedConfig,
    tty: ResolvedTty,
    again: boolean,
    usbipTrouble: () => Promise<string | undefined>,
  ): Promise<Backend> {
    const keeps = (backend: Backend) => lacks(tty.needs, backend).length === 0;
    const kept = this.#kept.get(tty.name);
    if (kept !== undefined && keeps(kept.backend)) return this.#is(tty, kept);
    if (this.#o.file === undefined) return this.#is(tty, this.#choice('pty', NOWHERE));
    if (this.#first && !again && keeps('pty') && wasPty(config, tty))
      return this.#keep(tty, this.#choice('pty', 'it was a pty already'));
    const trouble = await usbipTrouble();
    if (trouble === undefined) return this.#keep(tty, this.#choice('usbip', 'this machine gives it'));
    const pty = this.#choice('pty', trouble);
    // A port that does not come up without it gets usbip as soon as there is one.
    return keeps('pty') ? this.#keep(tty, pty) : this.#is(tty, pty);
  }

  #choice(backend: Backend, why: string): BackendChoice {
    return { backend, at: new Date(this.#o.clock.wallTime()).toISOString(), why: why.slice(0, 1000) };
  }

  #keep(tty: ResolvedTty, choice: BackendChoice): Backend {
    this.#kept.set(tty.name, choice);
    this.#fresh.push(choice);
    return this.#is(tty, choice);
  }

  #is(tty: ResolvedTty, choice: BackendChoice): Backend {
    this.#current.set(tty.name, choice);
    return choice.backend;
  }

  /** One line for all that have the same reason. */
  #tell(): void {
    const counts = new Map<string, number>();
    for (const { backend, why } of this.#fresh.splice(0)) {
      const text = `${backend}: ${why}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    for (const [text, ttys] of counts) {
      this.#o.log.log('info', `backend of ${ttys} ttys, chosen and kept: ${text}`, { event: 'backend' });
    }
  }

  #forgetSome(config: ResolvedConfig): void {
    if (this.#kept.size <= MAX_KEPT) return;
    const names = new Set(config.ttys.map(({ name }) => name));
    for (const name of [...this.#kept.keys()]) if (!names.has(name)) this.#kept.delete(name);
  }

  #write(): void {
    const { file, log } = this.#o;
    if (file === undefined) return;
    const trouble = writeChoices(file, this.#kept);
    if (trouble === undefined) return;
    log.log('warn', `which backends were chosen cannot be remembered: ${trouble}`, { event: 'backend' });
  }
}

/** An earlier daemon of this boot left its link, for this one to go on with. */
function wasPty({ runtimeDir }: ResolvedConfig, { name }: ResolvedTty): boolean {
  return lstatSync(join(runtimeDir, name), { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
