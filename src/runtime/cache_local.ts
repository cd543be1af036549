/**
 * The tier before the store: values that this process has read and keeps, for those `cache.get` calls that say for how long. The store
 * says what has changed; keeping and forgetting is store/kv/local.ts'.
 */
import { log } from "../ops/log.ts";
import { durationOf } from "../std/units.ts";
import type { Kv } from "../store/kv/kv.ts";
import type { Local } from "../store/kv/local.ts";

/** A store that cannot tell of a change, because it hangs, is believed for so long at most. */
const localMillisecondsMax = 60_000;

export interface LocalTerms {
  readonly reads: Local;
  readonly ageMs: number;
}

let hasSaid = false;

/** What this process keeps, and how old it may be; undefined where the store cannot tell what has changed, which is said once. */
export function keptFor(kv: Kv, key: string, local: string | number): LocalTerms | undefined {
  const ageMs = durationOf(`the local of cache key "${key}"`, local, 1, localMillisecondsMax);
  const reads = kv.local();
  if (typeof reads !== "string") return { reads, ageMs };
  if (!hasSaid) log.info({ key }, `cache.get with local keeps nothing in this process: ${reads}`);
  hasSaid = true;
  return undefined;
}
