// Reads the configuration file and what it includes, and gives back the resolved configuration, or a ConfigFault with
// everything that is wrong. Never applies anything. Synchronous: it runs at start, at a reload and in the CLI.
//
//   loadConfig(file, environment?, instead?) -> { config: ResolvedConfig, files: string[] }   throws ConfigFault
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve as resolvePath } from 'node:path';
import { messageOf } from '../base/fault.js';
import { Problems } from './problems.js';
import { resolveConfig } from './resolve.js';
import type { Environment, ResolvedConfig } from './resolved.js';
import { ConfigSchema, IncludedSchema, type IncludedValue } from './schema.js';
import { type ConfigFile, parseConfigFile } from './yaml-file.js';

export const DEFAULT_CONFIG_FILE = '/etc/ttynp/ttynp.yaml';
const MAX_INCLUDED = 1000;

export interface LoadedConfig {
  readonly config: ResolvedConfig;
  /** The file and all that it included, in the order read. */
  readonly files: readonly string[];
}

/** @param instead what a file is to be taken for, by its path: how an edit is checked before it is written */
export function loadConfig(
  file: string,
  environment: Environment = systemEnvironment(),
  instead: ReadonlyMap<string, string> = new Map(),
): LoadedConfig {
  const path = resolvePath(file);
  const problems = new Problems();
  const text = instead.get(path) ?? read(path, problems);
  problems.throwIfAny();
  const main = parseConfigFile(path, text ?? '', ConfigSchema, problems);
  const included: ConfigFile<IncludedValue>[] = [];
  for (const includedPath of includedFiles(path, main, problems)) {
    const includedText = instead.get(includedPath) ?? read(includedPath, problems);
    if (includedText !== undefined)
      included.push(parseConfigFile(includedPath, includedText, IncludedSchema, problems));
  }
  const config = resolveConfig(main, included, environment, problems);
  problems.throwIfAny();
  return { config, files: [path, ...included.map((f) => f.file)] };
}

export function systemEnvironment(): Environment {
  const uid = process.getuid?.() ?? 0;
  return { uid, runtimeHome: process.env.XDG_RUNTIME_DIR, devWritable: uid === 0 && isWritable('/dev') };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function read(path: string, problems: Problems): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    // Node ends its text with the path, which begins the line already.
    const why = missing ? 'there is no such file' : `cannot be read: ${messageOf(error).split(', ')[0]}`;
    const hint = missing && path === DEFAULT_CONFIG_FILE ? ' (name another one with -c FILE)' : '';
    const reason = error instanceof TypeError ? 'is not UTF-8 text' : `${why}${hint}`;
    problems.add(path, 1, [], reason);
    return undefined;
  }
}

function includedFiles(
  path: string,
  main: ConfigFile<{ include?: string[] | undefined }>,
  problems: Problems,
): string[] {
  const files = new Map<string, string>();
  for (const pattern of main.value?.include ?? []) {
    const fail = (text: string) => problems.add(path, main.lineOf(['include']), ['include'], text);
    const found = expand(isAbsolute(pattern) ? pattern : join(dirname(path), pattern));
    if (found.length === 0 && !/[*?]/.test(pattern)) fail(`no file ${pattern}`);
    for (const match of found) {
      const real = realpathSync(match);
      if (real === realpathSync(path)) fail(`${pattern} includes this file itself`);
      else if (!files.has(real)) files.set(real, match);
    }
  }
  if (files.size > MAX_INCLUDED)
    problems.add(path, main.lineOf(['include']), ['include'], `more than ${MAX_INCLUDED} files`);
  return [...files.values()].slice(0, MAX_INCLUDED);
}

/** The existing files that a pattern names, sorted. `*` and `?` match within one path segment, and no leading dot. */
export function expand(pattern: string): string[] {
  let paths = ['/'];
  for (const segment of pattern.split('/').filter((s) => s !== '' && s !== '.')) {
    if (!/[*?]/.test(segment)) {
      paths = paths.map((p) => join(p, segment)).filter(exists);
      continue;
    }
    const source = segment
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    const regex = new RegExp(`^${source}$`, 's');
    const matches = (name: string) => regex.test(name) && (segment.startsWith('.') || !name.startsWith('.'));
    paths = paths.flatMap((p) =>
      entries(p)
        .filter(matches)
        .sort()
        .map((name) => join(p, name)),
    );
  }
  return paths;
}

function exists(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
