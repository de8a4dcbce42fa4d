// What a modem is set to: flags and S registers. Plain values; what was kept by somebody else is looked at before it is used.
import {
  CHARACTER_REGISTERS,
  FACTORY_FLAGS,
  FACTORY_REGISTERS,
  FLAGS,
  type Flag,
  REGISTERS,
  S_RINGS,
} from './constants.js';

export interface Profile {
  readonly flags: Readonly<Record<Flag, number>>;
  /** One for each register. */
  readonly registers: readonly number[];
}

export const FACTORY: Profile = {
  flags: FACTORY_FLAGS,
  registers: Array.from({ length: REGISTERS }, (_, i) => FACTORY_REGISTERS[i] ?? 0),
};

const FLAG_NAMES: readonly Flag[] = ['E', 'Q', 'V', 'X', '&C', '&D'];

export function isFlag(name: string): name is Flag {
  return name in FLAGS;
}

export function mayBe(register: number, value: number): boolean {
  const most = CHARACTER_REGISTERS.includes(register) ? 127 : 255;
  return register >= 0 && register < REGISTERS && Number.isInteger(value) && value >= 0 && value <= most;
}

/** Of text that `profileText` made; undefined: it is none. */
export function parseProfile(text: string): Profile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const kept: unknown = Reflect.get(value, 'registers');
  const flags: unknown = Reflect.get(value, 'flags');
  if (!Array.isArray(kept) || kept.length !== REGISTERS || typeof flags !== 'object' || flags === null)
    return undefined;
  const registers = kept.filter((one, i): one is number => typeof one === 'number' && mayBe(i, one));
  const found = { ...FACTORY_FLAGS };
  for (const name of FLAG_NAMES) {
    const flag: unknown = Reflect.get(flags, name);
    if (typeof flag !== 'number' || !Number.isInteger(flag) || flag < 0 || flag > FLAGS[name]) return undefined;
    found[name] = flag;
  }
  return registers.length === REGISTERS ? { flags: found, registers } : undefined;
}

/** The counter of rings is no setting. */
export function profileText({ flags, registers }: Profile): string {
  return `${JSON.stringify({ flags, registers: registers.with(S_RINGS, 0) })}\n`;
}

/** As AT&V shows it, line by line. */
export function profileLines({ flags, registers }: Profile): string[] {
  const digits = (number: number, count: number) => String(number).padStart(count, '0');
  const all = registers.map((value, i) => `S${digits(i, 2)}:${digits(value, 3)}`);
  const rows = [FLAG_NAMES.map((name) => `${name}${flags[name]}`)];
  for (let i = 0; i < all.length; i += 8) rows.push(all.slice(i, i + 8));
  return rows.map((row) => row.join(' '));
}
