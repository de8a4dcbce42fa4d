// Changes one entry of a configuration file's text. Pure, and never touches what it need not: a line goes in or comes out
// where that gives exactly the wanted content, so that comments and alignment stay as they are; else YAML's Document, which
// keeps the comments. Whether the result is a good configuration is the caller's to check.
//
//   addServer(text, name, options)   removeEntries(text, paths) -> text   throw CONFIG_INVALID where no edit is possible
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isScalar, type Pair, parseDocument, stringify, YAMLMap } from 'yaml';
import { Fault, messageOf } from '../base/fault.js';

export type EntryPath = readonly [section: 'servers' | 'ttys', name: string];

export function addServer(text: string, name: string, options: Readonly<Record<string, string | number>>): string {
  const document = documentOf(text);
  if (document.contents === null) document.contents = new YAMLMap();
  const servers = document.get('servers');
  if (!isMap(servers)) document.set('servers', document.createNode({}));
  const map = document.createNode(options);
  map.flow = true;
  document.setIn(['servers', name], map);
  const whole = documentText(document);
  return sameContent(withLine(text, `${name}: ${flowText(options)}`), whole) ?? whole;
}

export function removeEntries(text: string, paths: readonly EntryPath[]): string {
  let now = text;
  for (const path of paths) {
    const document = documentOf(now);
    document.deleteIn(path);
    const whole = documentText(document);
    now = sameContent(withoutLines(now, path), whole) ?? whole;
  }
  return now;
}

function documentOf(text: string): Document {
  const document = parseDocument(text, { merge: true, stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new Fault('CONFIG_INVALID', `not valid YAML: ${messageOf(error).split('\n')[0]}`);
  return document;
}

function documentText(document: Document): string {
  try {
    return document.toString({ lineWidth: 0 });
  } catch (error) {
    // An alias of what was taken out.
    throw new Fault('CONFIG_INVALID', `cannot be edited here: ${messageOf(error)}`, { cause: error });
  }
}

function flowText(options: Readonly<Record<string, string | number>>): string {
  return stringify(options, { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/** `edited`, where it means what `wanted` means. */
function sameContent(edited: string | undefined, wanted: string): string | undefined {
  if (edited === undefined) return undefined;
  const [a, b] = [edited, wanted].map((text) => {
    const document = parseDocument(text, { merge: true, stringKeys: true });
    return document.errors.length > 0 ? document.errors : withoutEmpty(document.toJS());
  });
  return isDeepStrictEqual(a, b) ? edited : undefined;
}

/** A section with nothing below it is an empty one. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isEmpty = (v: unknown) => v === null || (typeof v === 'object' && Object.keys(v).length === 0);
  return Object.fromEntries(Object.entries(value).filter(([, v]) => !isEmpty(v)));
}

function withLine(text: string, line: string): string | undefined {
  const root = documentOf(text).contents;
  if (!isMap(root) || root.flow) return undefined;
  const section = pairOf(root, 'servers');
  const end = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  if (section === undefined) return `${end}servers:\n  ${line}\n`;
  const map = section.value;
  if (map === null || (isScalar(map) && map.value === null)) {
    const newline = end.indexOf('\n', rangeOf(section.key)?.[1]);
    return `${end.slice(0, newline + 1)}  ${line}\n${end.slice(newline + 1)}`;
  }
  const last = isMap(map) && !map.flow ? map.items.at(-1) : undefined;
  if (last === undefined) return undefined;
  const { first, next } = linesOfPair(end, last);
  const indent = /^ */.exec(end.slice(first))?.[0] ?? '';
  return `${end.slice(0, next)}${indent}${line}\n${end.slice(next)}`;
}

function withoutLines(text: string, [section, name]: EntryPath): string | undefined {
  const root = documentOf(text).contents;
  const map = isMap(root) ? pairOf(root, section)?.value : undefined;
  const pair = isMap(map) && !map.flow ? pairOf(map, name) : undefined;
  if (pair === undefined) return undefined;
  const { first, next } = linesOfPair(text, pair);
  return text.slice(0, first) + text.slice(next);
}

function pairOf(map: YAMLMap<unknown, unknown>, key: string): Pair<unknown, unknown> | undefined {
  return map.items.find((item) => isScalar(item.key) && item.key.value === key);
}

/** From the beginning of the key's line to the beginning of the line below the value. */
function linesOfPair(text: string, pair: Pair<unknown, unknown>): { first: number; next: number } {
  const key = rangeOf(pair.key);
  const value = rangeOf(pair.value);
  const start = key?.[0] ?? 0;
  const end = text.slice(0, Math.max(key?.[1] ?? start, value?.[1] ?? start)).trimEnd().length;
  const newline = text.indexOf('\n', end);
  return { first: text.lastIndexOf('\n', start - 1) + 1, next: newline < 0 ? text.length : newline + 1 };
}

function rangeOf(node: unknown): readonly [number, number, number] | null | undefined {
  return (node as { range?: readonly [number, number, number] | null } | null)?.range;
}
