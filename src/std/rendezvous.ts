/**
 * Highest random weight: which of several names a key belongs to. When a name leaves, only its own keys move; each process comes to the
 * same answer without asking. Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998.
 */

import { hash32 } from "./hash.ts";

/** The one of `candidates` that `key` belongs to; undefined if there is none. */
export function rendezvous<T extends { readonly name: string }>(key: string, candidates: readonly T[]): T | undefined {
  let best: T | undefined;
  let highest = -1;
  for (const candidate of candidates) {
    const weight = hash32(`${key}\n${candidate.name}`);
    if (best === undefined || weight > highest) [best, highest] = [candidate, weight];
  }
  return best;
}
