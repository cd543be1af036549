/**
 * Smooth weighted round robin, exactly as nginx does it: every pick adds each weight to a running value, takes the highest (the first
 * of equals) and takes the total off it. Over a full cycle the split is exact and no target gets its share in a row:
 * weights 5, 1, 1 give a a b a c a a. Pure but for the running values, which belong to the targets.
 * Source: nginx commit 52327e0627f4 (2012), ngx_http_upstream_get_peer.
 */
import { type Candidate, isOpen, loadOf } from "./candidate.ts";

/** The next of the candidates that are open and no busier than `loadMax`; undefined if there is none. Hot: no allocation. */
export function roundRobin<C extends Candidate>(
  candidates: readonly C[],
  tried: readonly C[],
  loadMax = Number.POSITIVE_INFINITY,
): C | undefined {
  let best: C | undefined;
  let total = 0;
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]!;
    if (!isOpen(candidate, tried) || loadOf(candidate) > loadMax) continue;
    candidate.current += candidate.share;
    total += candidate.share;
    if (best === undefined || candidate.current > best.current) best = candidate;
  }
  if (best !== undefined) best.current -= total;
  return best;
}

/** Most picks a rotation is turned before its first use. */
const turnsMax = 1_000;

/**
 * Turns the rotation by a random part of a cycle: balancers started together would otherwise all send their first request to the same
 * target.
 */
export function turnAtRandom(candidates: readonly Candidate[], random: () => number = Math.random): void {
  const cycle = candidates.reduce((sum, { share }) => sum + share, 0);
  const turns = Math.floor(random() * Math.min(cycle, turnsMax));
  for (let turn = 0; turn < turns; turn++) roundRobin(candidates, []);
}
