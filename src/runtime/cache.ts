/**
 * Cache-aside: look, else load and store. One load however many ask: callers of one process share a flight, and of the whole fleet one
 * holds the claim to load while the others wait for its entry. An invalidation ends the claim, so that what was read before it is never
 * stored after it. A cache that fails never fails a request: the loader answers, so many at a time that the database survives.
 *
 *     kept in this process, where `local` allows it ─▶ local       else:
 *     look ─ fresh ─▶ hit        ─ within `stale` ─▶ stale, and one refresh behind it
 *       └─ else ─▶ claim ─ ours ─▶ load ─▶ settle ─▶ miss        ─ another's ─▶ wait ─ its entry ─▶ coalesced
 *                                    └─ failed, within `staleIfError` ─▶ stale
 */
import type { Tx } from "scale";

import { log } from "../ops/log.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import { Semaphore } from "../std/semaphore.ts";
import { SingleFlight } from "../std/single_flight.ts";
import { durationOf } from "../std/units.ts";
import type { Kv } from "../store/kv/kv.ts";
import type { Invalidation } from "../store/outbox/outbox.ts";
import { decodeEntry, encodeEntry, type Entry, valueOf } from "./cache_entry.ts";
import { keptFor } from "./cache_local.ts";
import { countOutcome as count, type Outcome } from "./cache_outcomes.ts";
import { claim, type Found, look, peek, put, tagMilliseconds, unclaim } from "./cache_store.ts";
import { seeingEverything } from "./consistency.ts";
import { leaveInvalidation } from "./outbox.ts";
import { kvStore } from "./runtime.ts";
import { transactionOf } from "./transaction.ts";

type Duration = string | number;

interface Options {
  readonly ttl: Duration;
  readonly stale?: Duration;
  readonly staleIfError?: Duration;
  readonly negativeTtl?: Duration;
  readonly tags?: readonly string[];
  readonly timeout?: Duration;
  readonly local?: Duration;
}

/** Options in milliseconds, and the names in the store: the entry's first, then one for each tag. */
interface Terms {
  readonly key: string;
  readonly names: readonly string[];
  readonly ttl: number;
  readonly stale: number;
  readonly staleIfError: number;
  readonly negativeTtl: number;
  /** How long to wait for a load that somebody else has begun. */
  readonly timeout: number;
}

const keyCharactersMax = 512;
const tagsMax = 16;
const ttlMillisecondsMax = 30 * 86_400_000;
const timeoutDefault = "5s";
const timeoutMillisecondsMax = 60_000;
/** A claim outlives most loads; a load that takes longer may be made twice. */
const claimMilliseconds = 10_000;
const waitMillisecondsFirst = 5;
const waitMillisecondsMost = 50;
/** Entries stored together must not all end together. */
const jitter = 0.05;
const noTags: readonly string[] = [];
/** Loads at a time while the store does not answer, and callers that may wait for their turn. */
const unsharedLoadsMax = 32;
const unsharedWaitingMax = 1_000;

/** What a flight carries: the stored text, of which each who waits decodes a value of its own, as on a hit. */
interface Made {
  readonly text: string;
  /** What it was made from may have been invalidated meanwhile: right for who asked before that, and for nobody else. */
  readonly isOvertaken: boolean;
}

const flights = new SingleFlight<Made>();
const unshared = new Semaphore(unsharedLoadsMax, unsharedWaitingMax);
export const cache = {
  async get<T>(key: string, options: Options, load: () => Promise<T> | T): Promise<T> {
    const kv = kvStore("cache.get()");
    const names = namesOf(key, options);
    const local = options.local === undefined ? undefined : keptFor(kv, key, options.local);
    const near = local && peek(local, names, Date.now());
    if (near !== undefined) return hit("local", near) as T;
    for (let isFirst = true; ; isFirst = false) {
      const found = await look(kv, names, local?.reads);
      const kept = found?.entry;
      const now = Date.now();
      if (kept !== undefined && now < kept.f) return hit("hit", kept) as T;
      const terms = termsOf(key, names, options);
      if (kept !== undefined && now < kept.s) {
        refresh(kv, terms, load, found);
        return hit("stale", kept) as T;
      }
      const { result, joined } = flights.run(key, () => make(kv, terms, load, found));
      const made = await result;
      // Begun before we asked. The next one cannot be: whatever it brings is good enough.
      if (joined && isFirst && mayBeOlder(made, found)) continue;
      if (joined) count("coalesced");
      // The decoded stored form, on a miss as on a hit: a difference between the two is found in production only.
      return valueOf(JSON.parse(made.text) as Entry) as T;
    }
  },

  async set(key: string, value: unknown, options: Options): Promise<void> {
    const kv = kvStore("cache.set()");
    const terms = termsOf(key, namesOf(key, options), options);
    encodeEntry(key, value, { t: [], f: 0, s: 0 });
    // A load that is under way may have read what this replaces.
    flights.forget(key);
    const found = await look(kv, terms.names);
    if (found === undefined) return;
    const { text, milliseconds } = entryOf(terms, value, found.versions);
    await put(kv, terms.names[0]!, text, milliseconds);
  },

  /** Unlike a read, a failed invalidation is an error: swallowing it would leave a wrong value in place until its ttl ends. */
  invalidate({ keys = [], tags = [], tx }: Partial<Invalidation> & { readonly tx?: Tx }): Promise<void> {
    return tx === undefined ? invalidateNow({ keys, tags }) : handled(invalidateWith(tx, { keys, tags }));
  },
};

async function invalidateWith(tx: Tx, what: Invalidation): Promise<void> {
  await leaveInvalidation(transactionOf(tx, "cache.invalidate()"), what, () => invalidateNow(what));
}

async function invalidateNow({ keys, tags }: Invalidation): Promise<void> {
  const kv = kvStore("cache.invalidate()");
  for (const key of keys) flights.forget(key);
  await Promise.all([
    keys.length > 0 ? kv.delete(keys.map(entryKey)) : undefined,
    ...tags.map((tag) => kv.increment(tagKey(tag), tagMilliseconds)),
  ]);
}

/** Whether something may have been invalidated between the beginning of a load and this look at the store, which has to answer to say no. */
function mayBeOlder({ text, isOvertaken }: Made, found: Found | undefined): boolean {
  return isOvertaken || found === undefined || decodeEntry(text, found.versions) === undefined;
}

function hit(outcome: Outcome, entry: Entry): unknown {
  count(outcome);
  return valueOf(entry);
}

/** Behind the answer: whoever gets the claim loads, and nobody waits. */
function refresh(kv: Kv, terms: Terms, load: () => unknown, found: Found | undefined): void {
  const loadClaimed = async () => {
    const held = await claim(kv, terms.names[0]!, claimMilliseconds);
    return typeof held === "string"
      ? loadAndSettle(kv, terms, load, held, found)
      : { text: found?.text ?? "", isOvertaken: false };
  };
  const { result, joined } = flights.run(`${terms.key}\nrefresh`, loadClaimed);
  if (joined) return;
  result.catch((error: unknown) =>
    log.warn({ error, key: terms.key }, `a cached value could not be loaded anew: ${messageOf(error)}`),
  );
}

/** Made here, or by whoever has the claim. */
async function make(kv: Kv, terms: Terms, load: () => unknown, found: Found | undefined): Promise<Made> {
  if (found === undefined) return loadUnshared(terms, load);
  const deadline = performance.now() + terms.timeout;
  for (let wait = waitMillisecondsFirst; ; wait = Math.min(waitMillisecondsMost, wait * 2)) {
    const held = await claim(kv, terms.names[0]!, claimMilliseconds);
    if (held === undefined) return loadUnshared(terms, load);
    if (held !== null) return loadAndSettle(kv, terms, load, held, found);
    await Bun.sleep(wait * (1 + Math.random()));
    const theirs = await look(kv, terms.names);
    if (theirs?.entry !== undefined && Date.now() < theirs.entry.s) {
      count("coalesced");
      return { text: theirs.text, isOvertaken: false };
    }
    // Whoever has the claim is slow, or gone.
    if (performance.now() >= deadline) return loadUnshared(terms, load, "miss", found.versions);
  }
}

/** Under the claim. The versions of tags are those from before the load, so that a tag that moves during it wins. */
async function loadAndSettle(
  kv: Kv,
  terms: Terms,
  load: () => unknown,
  held: string,
  before: Found | undefined,
): Promise<Made> {
  const [name] = terms.names as [string];
  const found = (await look(kv, terms.names)) ?? before;
  if (found?.entry !== undefined && Date.now() < found.entry.f) {
    // Somebody has made it between our look and our claim.
    await unclaim(kv, name, held);
    count("coalesced");
    return { text: found.text, isOvertaken: false };
  }
  try {
    const value = await seeingEverything(load);
    const { text, milliseconds } = entryOf(terms, value, found?.versions ?? []);
    const isStored = await put(kv, name, text, milliseconds, held);
    count("miss");
    return { text, isOvertaken: !isStored };
  } catch (error) {
    await unclaim(kv, name, held);
    // Looked at again: what was invalidated during the load is not served after it.
    const kept = (await look(kv, terms.names)) ?? found;
    if (kept?.entry === undefined || Date.now() >= kept.entry.f + terms.staleIfError) throw error;
    log.warn({ error, key: terms.key }, `a stale value is served, loading it failed: ${messageOf(error)}`);
    count("stale");
    return { text: kept.text, isOvertaken: false };
  }
}

/** For this caller alone, or for those of this process: nothing is stored. */
async function loadUnshared(
  terms: Terms,
  load: () => unknown,
  outcome: Outcome = "error",
  versions: readonly string[] = [],
): Promise<Made> {
  count(outcome);
  const value = await unshared.run(
    () => seeingEverything(load),
    () =>
      new ScaleError("overloaded", `${unsharedWaitingMax} loads wait already, and the cache's store does not answer`, {
        hint: "bring the store of --cache-url or --redis-url back; its state is on /readyz",
        retryAfterSeconds: 1,
      }),
  );
  return { text: entryOf(terms, value, versions).text, isOvertaken: false };
}

function entryOf(terms: Terms, value: unknown, versions: readonly string[]): { text: string; milliseconds: number } {
  const isNothing = value === null || value === undefined;
  const ttl = isNothing ? terms.negativeTtl : terms.ttl;
  const f = Date.now() + ttl * (1 - jitter + Math.random() * 2 * jitter);
  const stale = isNothing ? 0 : terms.stale;
  const kept = isNothing ? 0 : Math.max(terms.stale, terms.staleIfError);
  const text = encodeEntry(terms.key, value, { t: versions, f, s: f + stale });
  return { text, milliseconds: f - Date.now() + kept };
}

function termsOf(key: string, names: readonly string[], options: Options): Terms {
  const { ttl, stale = 0, staleIfError = 0, negativeTtl = ttl, timeout = timeoutDefault } = options;
  const duration = (what: string, value: Duration, least: number, most = ttlMillisecondsMax) =>
    durationOf(`the ${what} of cache key "${key}"`, value, least, most);
  return {
    key,
    names,
    ttl: duration("ttl", ttl, 1),
    stale: duration("stale", stale, 0),
    staleIfError: duration("staleIfError", staleIfError, 0),
    negativeTtl: duration("negativeTtl", negativeTtl, 1),
    timeout: duration("timeout", timeout, 1, timeoutMillisecondsMax),
  };
}

function namesOf(key: string, { tags = noTags }: Options): readonly string[] {
  if (key === "" || key.length > keyCharactersMax)
    throw new RangeError(`cache key of ${key.length} characters, expected 1–${keyCharactersMax}`);
  if (tags.length > tagsMax)
    throw new RangeError(`cache key "${key}" has ${tags.length} tags, expected at most ${tagsMax}`);
  return tags.length === 0 ? [entryKey(key)] : [entryKey(key), ...tags.map(tagKey)];
}

const entryKey = (key: string): string => `cache:${key}`;
const tagKey = (tag: string): string => `tag:${tag}`;
