/**
 * What the cache stores under a key, and how it is read. Pure. An entry is
 * {"v":2,"t":[version of each tag],"f":fresh until, ms since the epoch,"s":stale until,"d":data}, or "j":"JSON text" in place of "d".
 * Something of another version, or under other versions of its tags, is no entry.
 */
import { JsonText } from "./json_text.ts";
import { assertJson } from "./json_value.ts";

export interface Entry {
  readonly v: number;
  readonly t: readonly string[];
  readonly f: number;
  /** Until when it may be served while it is being loaded anew. */
  readonly s: number;
  readonly d?: unknown;
  readonly j?: string;
}

const layoutVersion = 2;

/** Throws where JSON cannot carry the value, naming the path. */
export function encodeEntry(key: string, value: unknown, times: Pick<Entry, "t" | "f" | "s">): string {
  const { t, f, s } = times;
  if (value instanceof JsonText) return JSON.stringify({ v: layoutVersion, t, f, s, j: value.json } satisfies Entry);
  assertJson(value, `the value of cache key "${key}"`);
  return JSON.stringify({ v: layoutVersion, t, f, s, d: value } satisfies Entry);
}

/** The entry in a stored text, if it is one that counts under these versions of its tags. */
export function decodeEntry(text: string, versions: readonly string[]): Entry | undefined {
  const entry = parse(text);
  if (entry?.v !== layoutVersion || entry.t.length !== versions.length) return undefined;
  return entry.t.every((version, index) => version === versions[index]) ? entry : undefined;
}

/** A value of the caller's own, each time. */
export function valueOf(entry: Entry): unknown {
  return entry.j === undefined ? entry.d : new JsonText(entry.j);
}

/** Something else under our key is a miss, and is overwritten. */
function parse(text: string): Entry | undefined {
  try {
    return JSON.parse(text) as Entry;
  } catch {
    return undefined;
  }
}
