/**
 * The key-value store as the cache uses it: quick or not at all. Every operation has a small budget, and after a few failures in a row the
 * store is left alone for a while, so that a cache that is slow costs a request no more than one that is gone. What entries mean is
 * cache_entry.ts', when to load is cache.ts'.
 */
import { log } from "../ops/log.ts";
import { Breaker } from "../std/breaker.ts";
import { withDeadline } from "../std/deadline.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Kv } from "../store/kv/kv.ts";
import type { Local } from "../store/kv/local.ts";
import { decodeEntry, type Entry } from "./cache_entry.ts";
import type { LocalTerms } from "./cache_local.ts";

/** Longer than any entry lives: a tag's version must not expire before what was stored under it. */
export const tagMilliseconds = 2 * 31 * 86_400_000;
const valueBytesMax = 1024 * 1024;
const budgetMillisecondsDefault = 50;

/** With one primary of a Cluster away, so many operations fail and so many succeed that the breaker stays closed: not each has a line. */
const warningMillisecondsMin = 1_000;

const noVersions: readonly string[] = [];
const breaker = new Breaker({ failuresMax: 5, openMilliseconds: 1_000 });
let budgetMilliseconds = budgetMillisecondsDefault;
let warnedAt = Number.NEGATIVE_INFINITY;

/** How long the store may take for one operation. */
export function configureCache(config: { readonly cacheTimeout?: number | undefined }): void {
  budgetMilliseconds = config.cacheTimeout ?? budgetMillisecondsDefault;
  breaker.succeeded();
}

/** What lies under a key: an entry that counts, if there is one, and the versions its tags had before it was looked for. */
export interface Found {
  readonly entry: Entry | undefined;
  readonly text: string;
  readonly versions: readonly string[];
}

/** A fresh entry that this process has kept, with the versions of its tags. `names` as in look. */
export function peek({ reads, ageMs }: LocalTerms, names: readonly string[], now: number): Entry | undefined {
  const [text, ...versions] = names.map((name) => reads.peek(name, ageMs));
  if (text === undefined) return undefined;
  const known = versions.filter((version) => version !== undefined);
  if (known.length < versions.length) return undefined;
  const entry = decodeEntry(text, known);
  return entry !== undefined && now < entry.f ? entry : undefined;
}

/**
 * Entry and versions in one round trip; undefined where the store does not answer. `names`: the entry's key, then one for each tag.
 * With `local` they are kept in this process.
 */
export function look(kv: Kv, names: readonly string[], local?: Local): Promise<Found | undefined> {
  // Most entries have no tags: one read and nothing around it.
  if (names.length === 1 && local === undefined) return lookUntagged(kv, names[0]!);
  return within("look", async () => {
    const [text, ...versions] = (await local?.read(names)) ?? (await kv.getMany(names));
    // A version that is missing may have been evicted: what was stored under any earlier one must not be believed again.
    const current = await Promise.all(
      versions.map((version, index) => Promise.resolve(version ?? kv.increment(names[index + 1]!, tagMilliseconds))),
    );
    return { entry: text == null ? undefined : decodeEntry(text, current), text: text ?? "", versions: current };
  });
}

/** The store keeps the budget: of reads that go together it is one. */
async function lookUntagged(kv: Kv, name: string): Promise<Found | undefined> {
  if (!breaker.allows(performance.now())) return undefined;
  try {
    const text = await kv.get(name, budgetMilliseconds);
    answered();
    return { entry: text === null ? undefined : decodeEntry(text, noVersions), text: text ?? "", versions: noVersions };
  } catch (error) {
    return refused("look", error);
  }
}

/** The claim to load, null while somebody else has it; undefined where the store does not answer. */
export function claim(kv: Kv, name: string, milliseconds: number): Promise<string | null | undefined> {
  return within("claim", () => kv.claim(name, milliseconds));
}

export function unclaim(kv: Kv, name: string, held: string): Promise<unknown> {
  return within("unclaim", () => kv.unclaim(name, held));
}

/**
 * Stores an entry under a claim, or without one in place of whatever is there. False where the claim had ended: it took too long, or
 * the value was invalidated or set meanwhile.
 */
export async function put(kv: Kv, name: string, text: string, milliseconds: number, held?: string): Promise<boolean> {
  const bytes = Buffer.byteLength(text);
  if (bytes > valueBytesMax) {
    log.warn({ key: name, bytes }, `not cached: larger than ${valueBytesMax} bytes`);
    // What it would have replaced is older than it.
    await (held === undefined ? within("delete", () => kv.delete([name])) : unclaim(kv, name, held));
    return true;
  }
  const isStored = await within("store", async () => {
    if (held !== undefined) return kv.settle(name, held, text, milliseconds);
    await kv.replace(name, text, milliseconds);
    return true;
  });
  return isStored !== false;
}

async function within<T>(what: string, operation: () => Promise<T>): Promise<T | undefined> {
  if (!breaker.allows(performance.now())) return undefined;
  try {
    const result = await withDeadline(operation(), budgetMilliseconds, late);
    answered();
    return result;
  } catch (error) {
    return refused(what, error);
  }
}

function answered(): void {
  if (!breaker.isClosed) log.info({}, "the cache's store answers again");
  breaker.succeeded();
}

function refused(what: string, error: unknown): undefined {
  if (breaker.failed(performance.now()))
    log.warn({ error }, `the cache's store is left alone, loading instead: ${messageOf(error)}`);
  else if (breaker.isClosed) warn(what, error);
}

function warn(what: string, error: unknown): void {
  if (performance.now() - warnedAt < warningMillisecondsMin) return;
  warnedAt = performance.now();
  log.warn({ error }, `cache: could not ${what}, going on without: ${messageOf(error)}`);
}

function late(): ScaleError {
  return new ScaleError("store_unavailable", `no answer within ${budgetMilliseconds} ms (--cache-timeout)`);
}
