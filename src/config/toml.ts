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
  #marks: readonly Mark[] | undefined;

  constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
    this.document = parse(path, text);
  }

  /** FILE:LINE of the key, or of the nearest table around it. */
  placeOf(key: KeyPath): string {
    this.#marks ??= marksOf(this.#text);
    const line = nearest(this.#marks, key);
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

/**
 * Where the first key or table begins that makes the text no TOML. Halves the file until it is found: a reload that tried line by line
 * would hold up every request.
 */
function brokenLine(text: string): number {
  const lines = text.split("\n");
  const starts = lines.flatMap((line, index) => (/^(?:\[|[\w"'][^=]*=)/.test(line) ? [index] : []));
  let right = 0;
  let wrong = starts.length;
  while (wrong - right > 1) {
    const middle = Math.floor((right + wrong) / 2);
    if (isToml(lines.slice(0, starts[middle]).join("\n"))) right = middle;
    else wrong = middle;
  }
  return (starts[right] ?? 0) + 1;
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

/** A line that says something, and of which key or table. */
interface Mark {
  readonly line: number;
  readonly key: KeyPath;
}

/** Every key and table header of the text, in its order. Lines are counted from 1. */
function marksOf(text: string): readonly Mark[] {
  const marks: Mark[] = [];
  const counts = new Map<string, number>();
  let table: KeyPath = [];
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$/.exec(line);
    const key = header ? undefined : /^\s*((?:"[^"]*"|'[^']*'|[\w.-]|\s+(?=[.=]))+)=/.exec(line)?.[1];
    if (header) {
      // [[redirects]] is the line of the list as well as of one in it.
      if (header[1] === "[[") marks.push({ line: index + 1, key: keysOf(header[2]!) });
      table = header[1] === "[[" ? elementOf(header[2]!, counts) : keysOf(header[2]!);
      marks.push({ line: index + 1, key: table });
    } else if (key !== undefined) marks.push({ line: index + 1, key: [...table, ...keysOf(key)] });
  }
  return marks;
}

/** Line of the key, or of the nearest table or key around it. */
function nearest(marks: readonly Mark[], wanted: KeyPath): number | undefined {
  let best: Mark | undefined;
  for (const mark of marks) {
    if (mark.key.length <= (best?.key.length ?? 0)) continue;
    if (mark.key.every((part, depth) => part === wanted[depth])) best = mark;
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
