/**
 * One table of scale.toml, read key by key. Whatever is wrong is collected with its line, what was expected and a value that would be
 * right; what is in the table and nobody asked for is a problem too.
 */
import { closest } from "../std/closest.ts";
import { ExpectedError } from "../std/units.ts";
import type { Kind } from "./kinds.ts";
import { isTable, type KeyPath, type Table, type TomlFile } from "./toml.ts";

export class TableReader {
  readonly #file: TomlFile;
  readonly #path: KeyPath;
  readonly #table: Table;
  readonly #problems: string[];
  readonly #asked = new Set<string>();

  constructor(file: TomlFile, path: KeyPath, problems: string[]) {
    this.#file = file;
    this.#path = path;
    this.#problems = problems;
    let at: unknown = file.document;
    for (const key of path) at = (at as { readonly [key: string | number]: unknown })[key];
    this.#table = isTable(at) ? at : {};
    if (!isTable(at)) this.#problem(`${this.#name} is not a table`, [], `${this.#name} and its keys below`);
  }

  /** Its keys, in the order of the file. */
  get keys(): readonly string[] {
    return Object.keys(this.#table);
  }

  /** The value of `key`, undefined if it is not there or wrong. `usual` is one that would be right, as TOML. */
  one<T>(key: string, kind: Kind<T>, usual: string): T | undefined {
    return this.#parse(key, this.#ask(key), kind, usual);
  }

  /** The value of `key` as a list; one alone is a list too. Undefined if it is not there; without what is wrong in it. */
  many<T>(key: string, kind: Kind<T>, usual: string): readonly T[] | undefined {
    const value = this.#ask(key);
    if (value === undefined) return undefined;
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    return items.map((item) => this.#parse(key, item, kind, usual)).filter((item) => item !== undefined);
  }

  isEmptyList(key: string): boolean {
    const value = this.#ask(key);
    return Array.isArray(value) && value.length === 0;
  }

  /** The table at `key`, undefined if there is none. */
  table(key: string): TableReader | undefined {
    if (this.#ask(key) === undefined) return undefined;
    return new TableReader(this.#file, [...this.#path, key], this.#problems);
  }

  /** Whether `key` itself is of this kind, where keys are names; if not, that is a problem. */
  allows(key: string, kind: Kind<string>, usual: string): boolean {
    this.#asked.add(key);
    try {
      kind.parse(key);
      return true;
    } catch (error) {
      if (!(error instanceof ExpectedError)) throw error;
      this.#problem(
        `${key} in ${this.#name} cannot be used as a name, expected ${error.expected}`,
        [key],
        `a name such as ${usual}`,
      );
      return false;
    }
  }

  /** Adds a problem with what `key` says. */
  wrong(key: string, expected: string, fix: string): void {
    this.#problem(`${key} in ${this.#name} is ${shown(this.#table[key])}, expected ${expected}`, [key], fix);
  }

  /** Adds a problem with the table. */
  lacks(what: string, fix: string): void {
    this.#problem(`${this.#name} ${what}`, [], fix);
  }

  /** Complains about every key that was not asked for. */
  finish(): void {
    for (const key of this.keys) {
      if (this.#asked.has(key)) continue;
      const meant = closest(key, this.#asked);
      const fix =
        meant === undefined ? `leave it out; there is ${[...this.#asked].join(", ")}` : `${meant}, if that was meant`;
      this.#problem(`${key} in ${this.#name} means nothing`, [key], fix);
    }
  }

  get #name(): string {
    return nameOf(this.#path);
  }

  #ask(key: string): unknown {
    this.#asked.add(key);
    return this.#table[key];
  }

  #parse<T>(key: string, value: unknown, kind: Kind<T>, usual: string): T | undefined {
    if (value === undefined) return undefined;
    try {
      if (typeof value === "object") throw new ExpectedError(`a value such as ${usual}`);
      return kind.parse(String(value));
    } catch (error) {
      if (!(error instanceof ExpectedError)) throw error;
      const message = `${key} in ${this.#name} is ${shown(value)}, expected ${error.expected}`;
      this.#problem(message, [key], `${key} = ${usual}`);
      return undefined;
    }
  }

  #problem(message: string, key: KeyPath, fix: string): void {
    this.#problems.push(`${message} (${this.#file.placeOf([...this.#path, ...key])}). Fix: ${fix}`);
  }
}

/** [services.shop], or [[redirects]] 1 for the first of several. */
export function nameOf(path: KeyPath): string {
  const last = path.at(-1);
  if (typeof last === "number") return `[[${path.slice(0, -1).join(".")}]] ${last + 1}`;
  return `[${path.join(".")}]`;
}

function shown(value: unknown): string {
  return value === undefined ? "not there" : JSON.stringify(value);
}
