// A listener's own `accessibleIps` against the global one: a client has to be in both, so lists that have no address in common
// admit nobody, and look from outside like a service that is down. Pure; reports, and decides nothing about who connects.
import { type AddressRange, haveCommon, rangeText } from './address-range.js';
import type { Problems } from './problems.js';
import type { ConfigValue } from './schema.js';
import type { ConfigFile } from './yaml-file.js';

const TOLD = 3;

/** @param path of the listener in the file */
export function checkAccess(
  main: ConfigFile<ConfigValue>,
  path: readonly string[],
  own: readonly AddressRange[] | undefined,
  problems: Problems,
): void {
  const everywhere = main.value?.accessibleIps ?? [];
  if (everywhere.length === 0 || own === undefined || own.length === 0 || haveCommon(everywhere, own)) return;
  const at = [...path, 'accessibleIps'];
  const more = everywhere.length > TOLD ? ` and ${everywhere.length - TOLD} more` : '';
  const list = `${everywhere.slice(0, TOLD).map(rangeText).join(', ')}${more}`;
  const where = `accessibleIps at line ${main.lineOf(['accessibleIps'])} (${list})`;
  const text = `admits nobody: a client has to be in the global ${where}, too; add these addresses there`;
  problems.add(main.file, main.lineOf(at), at, text);
}
