// An entry of the configuration together with the place that a problem with it is reported at. Types only.
import type { ResolvedServer, ResolvedTty } from './resolved.js';
import type { ConfigValue, IncludedValue, ServerValue } from './schema.js';
import type { ConfigFile } from './yaml-file.js';

export type AnyFile = ConfigFile<ConfigValue> | ConfigFile<IncludedValue>;

export interface ServerEntry {
  readonly name: string;
  readonly file: AnyFile;
  readonly path: readonly string[];
  /** Undefined where the entry was wrong: the name is known, and nothing more is said about it. */
  readonly value: Omit<ServerValue, 'address'> | undefined;
  readonly resolved: ResolvedServer | undefined;
}

export interface TtyEntry {
  readonly tty: ResolvedTty;
  readonly file: AnyFile;
  readonly path: readonly string[];
  readonly explicit: boolean;
}

/** "FILE:LINE" */
export function placeOf(entry: { readonly file: AnyFile; readonly path: readonly string[] }): string {
  return `${entry.file.file}:${entry.file.lineOf(entry.path)}`;
}
