/**
 * Cache-aside: look, else load and store. A cache that fails never fails a request: the loader answers instead.
 * An entry is {"v":1,"t":[version of each tag],"d":data} or {"v":1,"t":[…],"j":"JSON text"}; one of another version is a miss.
 */
import type { Tx } from "scale";

import { log } from "../ops/log.ts";
import { counter } from "../ops/metrics.ts";
import { messageOf } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import { SingleFlight } from "../std/single_flight.ts";
import { durationOf } from "../std/units.ts";
import type { Kv } from "../store/kv/kv.ts";
import type { Invalidation } from "../store/outbox/outbox.ts";
import { JsonText } from "./json_text.ts";
import { assertJson } from "./json_value.ts";
import { leaveInvalidation } from "./outbox.ts";
import { kvStore } from "./runtime.ts";
import { transactionOf } from "./transaction.ts";

interface Options {
  readonly ttl: string | number;
  readonly tags?: readonly string[];
}

interface Entry {
  readonly v: number;
  readonly t: readonly string[];
  readonly d?: unknown;
  readonly j?: string;
}

const layoutVersion = 1;
const keyCharactersMax = 512;
const tagsMax = 16;
const valueBytesMax = 1024 * 1024;
const ttlMillisecondsMax = 30 * 86_400_000;
/** Longer than any entry lives: a tag's version must not expire before what was stored under it. */
const tagTtlMilliseconds = 2 * ttlMillisecondsMax;

/** They carry the stored text: each who waits decodes a value of its own, as on a hit. */
const flights = new SingleFlight<string>();
const outcomes = counter("cache_operations_total");

export const cache = {
  async get<T>(key: string, options: Options, load: () => Promise<T> | T): Promise<T> {
    const kv = kvStore("cache.get()");
    const names = namesOf(key, options);
    const ttl = ttlOf(key, options);
    const found = await look(kv, names);
    if (found.value !== undefined) return found.value.it as T;
    const { result, joined } = flights.run(key, (current) =>
      loadAndStore(kv, key, names, found.versions, ttl, load, current),
    );
    outcomes.inc({ outcome: joined ? "coalesced" : found.versions === undefined ? "error" : "miss" });
    // The decoded stored form, on a miss as on a hit: a difference between the two is found in production only.
    return valueOf(JSON.parse(await result) as Entry) as T;
  },

  async set(key: string, value: unknown, options: Options): Promise<void> {
    const kv = kvStore("cache.set()");
    const names = namesOf(key, options);
    const ttl = ttlOf(key, options);
    encode(key, value, []);
    // A load that is under way may have read what this replaces.
    flights.forget(key);
    const { versions } = await look(kv, names);
    if (versions !== undefined) await store(kv, names, encode(key, value, versions), ttl);
  },

  /** Unlike a read, a failed invalidation is an error: swallowing it would leave a wrong value in place until its ttl ends. */
  invalidate({ keys = [], tags = [], tx }: Partial<Invalidation> & { readonly tx?: Tx }): Promise<void> {
    if (tx === undefined) return invalidateNow({ keys, tags });
    const what = { keys, tags };
    return handled(leaveInvalidation(transactionOf(tx, "cache.invalidate()"), what, () => invalidateNow(what)));
  },
};

async function invalidateNow({ keys, tags }: Invalidation): Promise<void> {
  const kv = kvStore("cache.invalidate()");
  for (const key of keys) flights.forget(key);
  await Promise.all([
    keys.length > 0 ? kv.delete(keys.map(entryKey)) : undefined,
    ...tags.map((tag) => kv.increment(tagKey(tag), tagTtlMilliseconds)),
  ]);
}

/** Keys in the store: the entry's first, then one for each tag. */
function namesOf(key: string, { tags = [] }: Options): readonly string[] {
  if (key === "" || key.length > keyCharactersMax)
    throw new RangeError(`cache key of ${key.length} characters, expected 1–${keyCharactersMax}`);
  if (tags.length > tagsMax)
    throw new RangeError(`cache key "${key}" has ${tags.length} tags, expected at most ${tagsMax}`);
  return [entryKey(key), ...tags.map(tagKey)];
}

const entryKey = (key: string): string => `cache:${key}`;
const tagKey = (tag: string): string => `tag:${tag}`;

function ttlOf(key: string, { ttl }: Options): number {
  return durationOf(`the ttl of cache key "${key}"`, ttl, 1, ttlMillisecondsMax);
}

interface Look {
  /** The value where there is a current one; wrapped, because a cached value may be null. */
  readonly value?: { readonly it: unknown };
  /** Current versions of the tags; undefined where the store did not answer. */
  readonly versions: readonly string[] | undefined;
}

/** Entry and versions in one round trip. Versions are those from before the load, so that a tag that moves during it wins. */
async function look(kv: Kv, names: readonly string[]): Promise<Look> {
  try {
    const [text, ...versions] = await kv.getMany(names);
    // A version that is missing may have been evicted: what was stored under any earlier one must not be believed again.
    const current = await Promise.all(
      versions.map((version, index) => Promise.resolve(version ?? kv.increment(names[index + 1]!, tagTtlMilliseconds))),
    );
    const value = text == null ? undefined : decode(text, current);
    if (value) outcomes.inc({ outcome: "hit" });
    return value ? { value, versions: current } : { versions: current };
  } catch (error) {
    log.warn({ error }, `cache: the store does not answer, loading instead: ${messageOf(error)}`);
    return { versions: undefined };
  }
}

function decode(text: string, versions: readonly string[]): { it: unknown } | undefined {
  const entry = parseEntry(text);
  if (entry?.v !== layoutVersion || entry.t.length !== versions.length) return undefined;
  if (entry.t.some((version, index) => version !== versions[index])) return undefined;
  return { it: valueOf(entry) };
}

function valueOf(entry: Entry): unknown {
  return entry.j === undefined ? entry.d : new JsonText(entry.j);
}

/** Something else under our key is a miss, and is overwritten. */
function parseEntry(text: string): Entry | undefined {
  try {
    return JSON.parse(text) as Entry;
  } catch {
    return undefined;
  }
}

async function loadAndStore(
  kv: Kv,
  key: string,
  names: readonly string[],
  versions: readonly string[] | undefined,
  ttl: number,
  load: () => unknown,
  current: () => boolean,
): Promise<string> {
  const text = encode(key, await load(), versions ?? []);
  // Loaded before an invalidation, so it may be what was invalidated. Other processes' invalidations are not seen here.
  if (versions !== undefined && current()) await store(kv, names, text, ttl);
  return text;
}

function encode(key: string, value: unknown, versions: readonly string[]): string {
  if (value instanceof JsonText)
    return JSON.stringify({ v: layoutVersion, t: versions, j: value.json } satisfies Entry);
  assertJson(value, `the value of cache key "${key}"`);
  return JSON.stringify({ v: layoutVersion, t: versions, d: value } satisfies Entry);
}

async function store(kv: Kv, names: readonly string[], text: string, ttl: number): Promise<void> {
  if (Buffer.byteLength(text) > valueBytesMax) {
    log.warn({ key: names[0], bytes: Buffer.byteLength(text) }, `not cached: larger than ${valueBytesMax} bytes`);
    return;
  }
  try {
    await kv.set(names[0]!, text, ttl);
  } catch (error) {
    log.warn({ error }, `cache: could not store ${names[0]}: ${messageOf(error)}`);
  }
}
