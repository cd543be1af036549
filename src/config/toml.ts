/**
 * A TOML file, and on which line each key of it stands: Bun's parser knows the values and no places. Finding a line reads the file a
 * second time, for messages only. What the keys mean is file.ts' and services.ts'.
 */
import { readFileSync } from "node:fs";

import { messageOf } from "../std/errors.ts";

export type Table = { readonly [key: string]: unknown };

/** Keys from the top of the document down; a number is the place in an array of tables. */
export type KeyPath = readonly (string | number)[];

export class TomlFile {
  readonly path: string;
  readonly document: Table;
  readonly #text: string;

  constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
    this.document = parse(path, text);
  }

  /** FILE:LINE of the key, or of the nearest table around it. */
  placeOf(key: KeyPath): string {
    const line = lineOf(this.#text, key);
    return line === undefined ? this.path : `${this.path}:${line}`;
  }
}

/** Throws where the file cannot be read or is no TOML. */
export function readToml(path: string): TomlFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
  return new TomlFile(path, text);
}

function parse(path: string, text: string): Table {
  try {
    return Bun.TOML.parse(text) as Table;
  } catch (error) {
    throw unreadable(path, `line ${brokenLine(text)}: ${messageOf(error)}`, error);
  }
}

function unreadable(path: string, why: string, cause: unknown): Error {
  return new Error(`--config names ${path}, which cannot be read: ${why}. Fix: a readable TOML file`, { cause });
}

/** The line after the longest beginning that is TOML of its own: there begins what is not. */
function brokenLine(text: string): number {
  const lines = text.split("\n");
  for (let count = lines.length - 1; count > 0; count--) {
    if (isToml(lines.slice(0, count).join("\n"))) return count + 1;
  }
  return 1;
}

function isToml(text: string): boolean {
  try {
    Bun.TOML.parse(text);
    return true;
  } catch {
    return false;
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** [key] or [[key]]. */
export function holdsTables(value: unknown): boolean {
  return isTable(value) || (Array.isArray(value) && value.some(isTable));
}

/** Line of the key, from 1, or of the nearest table or key around it. */
export function lineOf(text: string, wanted: KeyPath): number | undefined {
  let table: KeyPath = [];
  let best: { readonly line: number; readonly depth: number } | undefined;
  const counts = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$/.exec(line);
    const key = header ? undefined : /^\s*((?:"[^"]*"|'[^']*'|[\w.-]|\s+(?=[.=]))+)=/.exec(line)?.[1];
    let here = table;
    if (header?.[1] === "[[") here = table = elementOf(header[2]!, counts);
    else if (header) here = table = keysOf(header[2]!);
    else if (key !== undefined) here = [...table, ...keysOf(key)];
    else continue;
    // [[redirects]] is the line of the list as well as of one in it.
    if (typeof here.at(-1) === "number" && here.length > wanted.length) here = here.slice(0, -1);
    const isAround = here.every((part, depth) => part === wanted[depth]);
    if (isAround && here.length > (best?.depth ?? 0)) best = { line: index + 1, depth: here.length };
  }
  return best?.line;
}

/** a."b.c".d → ["a", "b.c", "d"]. */
function keysOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare!,
  );
}

function elementOf(header: string, counts: Map<string, number>): KeyPath {
  const keys = keysOf(header);
  const name = keys.join(".");
  const index = counts.get(name) ?? 0;
  counts.set(name, index + 1);
  return [...keys, index];
}
