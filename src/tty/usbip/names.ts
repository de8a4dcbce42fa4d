// The map of names that the daemon writes and udev's rule looks names up in: a line "SERIAL INTERFACE NAME [ALIAS ...]
// [group=GROUP] [mode=MODE]" for each tty. Text to values and back; reads and writes no file. See docs/usbip-helper.md, "Names".

/** In the runtime directory. */
export const NAMES_FILE = 'usbip-names';

/** Nobody executes a tty. */
const READ_WRITE = 0o666;

/** Who may open a tty, where the configuration says. */
export interface TtyAccess {
  readonly group?: string | number;
  readonly mode?: number;
}

export interface NamedTty extends TtyAccess {
  /** The name, then the aliases. */
  readonly names: readonly string[];
}

export function mapLine(serial: string, index: number, { names, group, mode }: NamedTty): string {
  const access = [
    ...(group === undefined ? [] : [`group=${group}`]),
    ...(mode === undefined ? [] : [`mode=${(mode & READ_WRITE).toString(8).padStart(4, '0')}`]),
  ];
  return `${[serial, index, ...names, ...access].join(' ')}\n`;
}

export interface MappedTty {
  readonly serial: string;
  readonly interface: number;
  /** The name, then the aliases. */
  readonly names: readonly string[];
}

export function mappedTtys(text: string): MappedTty[] {
  return text.split('\n').flatMap((line) => {
    const [serial, number, ...words] = line.trim().split(/\s+/);
    const names = words.filter((word) => !word.includes('='));
    if (serial === undefined || number === undefined || !/^\d+$/.test(number) || names.length === 0) return [];
    return [{ serial, interface: Number(number), names }];
  });
}

/** All names that are udev's. */
export function namesIn(text: string): ReadonlySet<string> {
  return new Set(mappedTtys(text).flatMap(({ names }) => names));
}
