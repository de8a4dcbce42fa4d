// One YAML file of the configuration: read, parsed, checked against its schema, with the line of every path.
// Never looks at another file. What does not fit the schema is reported and taken out, so that the rest can be judged.
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import type { Problems } from './problems.js';
import { unknownKey } from './unknown-key.js';

/** Scalars that YAML would read as a number other than what was meant: 7E1 is 70, and 0660 is six hundred and sixty. */
const TEXT_KEYS = new Set(['format', 'mode']);
/** `ttys:` with nothing below it is an empty map, and so is a tty without options. */
const MAY_BE_EMPTY = new Set(['servers', 'ttys', 'serialPorts', 'defaults', 'control', 'log', 'tty', 'server']);
const MAX_SIZE = 4 * 1024 * 1024;

export interface ConfigFile<T> {
  readonly file: string;
  /** What fits the schema; undefined where nothing could be kept. */
  readonly value: T | undefined;
  /** What was written, for telling "missing" from "wrong and already reported". */
  readonly raw: unknown;
  /** False when the file is not YAML: then nothing can be said about what it lacks. */
  readonly readable: boolean;
  /** The line of a path, or of its nearest ancestor that was written. */
  lineOf(path: readonly PropertyKey[]): number;
}

export function parseConfigFile<T>(
  file: string,
  text: string,
  schema: z.ZodType<T>,
  problems: Problems,
): ConfigFile<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, stringKeys: true });
  const lineAt = (offset: number) => Math.max(1, lines.linePos(offset).line);
  const lineOf = (path: readonly PropertyKey[]) => lineAt(offsetOf(document, path));
  const syntaxErrors = document.errors.filter((e) => e.code !== 'DUPLICATE_KEY');
  for (const error of document.errors) {
    const key = /^[^\s:,{}[\]]*/.exec(text.slice(error.pos[0]))?.[0] ?? '';
    const twice = error.code === 'DUPLICATE_KEY';
    problems.add(
      file,
      lineAt(error.pos[0]),
      [],
      twice
        ? `"${key}" is there twice`
        : `not valid YAML: ${lowerFirst(error.message.replace(/; please use .*$/, ''))}`,
    );
  }
  const nothing = { file, value: undefined, raw: undefined, readable: false, lineOf };
  if (text.length > MAX_SIZE) problems.add(file, 1, [], 'is larger than 4 MiB');
  if (syntaxErrors.length > 0 || text.length > MAX_SIZE) return nothing;
  keepText(document);
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    problems.add(file, 1, [], `not valid YAML: ${lowerFirst(error instanceof Error ? error.message : String(error))}`);
    return nothing;
  }
  if (raw === null) raw = {};
  const value = validate(schema, withEmptyMaps(raw), (path, text) => problems.add(file, lineOf(path), path, text));
  return { file, value, raw, readable: true, lineOf };
}

function keepText(document: Document): void {
  visit(document, {
    Pair(_, pair) {
      if (!isScalar(pair.key) || !TEXT_KEYS.has(String(pair.key.value))) return;
      if (isScalar(pair.value) && typeof pair.value.value === 'number' && pair.value.source !== undefined) {
        pair.value.value = pair.value.source;
      }
    },
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withEmptyMaps(raw: unknown): unknown {
  if (!isRecord(raw)) return raw;
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(raw)) {
    const entries = key === 'servers' || key === 'ttys' || key === 'defaults';
    if (value === null && MAY_BE_EMPTY.has(key)) copy[key] = {};
    else if (entries && isRecord(value))
      copy[key] = Object.fromEntries(Object.entries(value).map(([k, v]) => [k, v ?? {}]));
    else copy[key] = value;
  }
  return copy;
}

/** The value with everything that does not fit taken out, each once reported. */
function validate<T>(
  schema: z.ZodType<T>,
  input: unknown,
  report: (path: PropertyKey[], text: string) => void,
): T | undefined {
  const reported: PropertyKey[][] = [];
  // A value that was taken out is missing in the next round; that is no second problem.
  const isReported = (path: PropertyKey[]) => reported.some((r) => r.every((part, i) => part === path[i]));
  let current = structuredClone(input);
  // Each round takes out at least one value, so the depth of the shape bounds them; the number only ends a mistake here.
  for (let round = 0; round < 8; round++) {
    const result = schema.safeParse(current);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      for (const { path, text } of describe(issue, schema, input)) {
        if (!isReported(path)) report(path, text);
        reported.push(path);
        current = without(current, path);
      }
    }
  }
  return undefined;
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, input: unknown): { path: PropertyKey[]; text: string }[] {
  const path = [...issue.path];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...path, key], text: unknownKey(path, key, keysAt(schema, path)) }));
    case 'invalid_key':
      return [{ path, text: issue.issues[0]?.message ?? 'is no valid name' }];
    case 'invalid_value':
      if (valueAt(input, path) === undefined) return [{ path, text: 'is missing' }];
      return [
        {
          path,
          text: /^Invalid/.test(issue.message)
            ? `must be one of ${issue.values.join(', ')}${gotText(valueAt(input, path))}`
            : issue.message,
        },
      ];
    case 'invalid_union': {
      const within = isRecord(valueAt(input, path)) ? issue.errors.find(isWithinMap) : undefined;
      if (within === undefined) return [misfit(issue, path, input)];
      return within.flatMap((one) => describe({ ...one, path: [...path, ...one.path] }, schema, input));
    }
    case 'invalid_type':
    case 'too_big':
    case 'too_small':
      return [misfit(issue, path, input)];
    default: {
      const value = valueAt(input, path);
      return [
        {
          path,
          text:
            typeof value === 'object' || issue.message.includes(', got ')
              ? issue.message
              : `${issue.message}${gotText(value)}`,
        },
      ];
    }
  }
}

/** Of a union's choices the map, where one was written: what is wrong is in it. */
function isWithinMap(issues: readonly z.core.$ZodIssue[]): boolean {
  return issues.length > 0 && issues.every(({ code, path }) => path.length > 0 || code === 'unrecognized_keys');
}

function misfit(issue: z.core.$ZodIssue, path: PropertyKey[], input: unknown): { path: PropertyKey[]; text: string } {
  const value = valueAt(input, path);
  if (value === undefined) return { path, text: 'is missing' };
  const text = issue.message
    .replace(/^Invalid input: expected (?:record|object)\b.*$/, 'must be a map of "name: value"')
    .replace(/^Invalid input: (expected \w+).*$/, '$1')
    .replace(/^Too (big|small): expected \w+ /, 'expected ');
  return { path, text: `${text}${gotText(value)}` };
}

function gotText(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return ', got a list';
  if (value !== null && typeof value === 'object') return ', got a map';
  return `, got ${JSON.stringify(value)}`;
}

/** The keys that are allowed at a path of the schema. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema;
  for (const part of [...path, undefined]) {
    at = withoutWrapping(at);
    if (part === undefined) break;
    if (at instanceof z.ZodObject) at = at.shape[String(part)];
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else return [];
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

/** Of a union its map: only a map has keys. */
function withoutWrapping(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional) return withoutWrapping(schema.unwrap());
  if (schema instanceof z.ZodPipe) return withoutWrapping(schema.in);
  if (schema instanceof z.ZodUnion) return schema.options.find((one) => one instanceof z.ZodObject) ?? schema;
  return schema;
}

export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (Array.isArray(at)) at = at[Number(part)];
    else if (isRecord(at)) at = at[String(part)];
    else return undefined;
  }
  return at;
}

/** Without the value at `path`. An element takes its list with it, and a missing key what it is missing from. */
function without(value: unknown, path: readonly PropertyKey[]): unknown {
  let target = path;
  // The file itself is not given up for want of its version.
  if (path[0] === 'version' && path.length === 1 && isRecord(value)) return { ...value, version: 1 };
  if (valueAt(value, path) === undefined) target = path.slice(0, -1);
  while (typeof target.at(-1) === 'number') target = target.slice(0, -1);
  const key = target.at(-1);
  if (key === undefined) return {};
  const holder = valueAt(value, target.slice(0, -1));
  if (isRecord(holder)) delete holder[String(key)];
  return value;
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = rangeStart(node) ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) return offset;
      offset = rangeStart(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = rangeStart(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function rangeStart(node: unknown): number | undefined {
  return (node as Partial<Node> | null | undefined)?.range?.[0];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
