// The map of names that the daemon writes and udev's rule looks names up in: a line "SERIAL INTERFACE NAME [ALIAS ...]" for each
// tty. Text to values and back; reads and writes no file. See docs/usbip-helper.md, "Names".

/** In the runtime directory. */
export const NAMES_FILE = 'usbip-names';

export interface MappedTty {
  readonly serial: string;
  readonly interface: number;
  /** The name, then the aliases. */
  readonly names: readonly string[];
}

export function mappedTtys(text: string): MappedTty[] {
  return text.split('\n').flatMap((line) => {
    const [serial, number, ...names] = line.trim().split(/\s+/);
    if (serial === undefined || number === undefined || !/^\d+$/.test(number) || names.length === 0) return [];
    return [{ serial, interface: Number(number), names }];
  });
}

/** All names that are udev's. */
export function namesIn(text: string): ReadonlySet<string> {
  return new Set(mappedTtys(text).flatMap(({ names }) => names));
}
