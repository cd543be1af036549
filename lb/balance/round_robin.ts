/**
 * Smooth weighted round robin, exactly as nginx does it: every pick adds each weight to a running value, takes the highest (the first
 * of equals) and takes the total off it. Over a full cycle the split is exact and no target gets its share in a row:
 * weights 5, 1, 1 give a a b a c a a. Pure but for the running values, which belong to the targets.
 * Source: nginx commit 52327e0627f4 (2012), ngx_http_upstream_get_peer.
 */

export interface Weighted {
  readonly weight: number;
  current: number;
}

/** The next of `candidates`, undefined if there is none. Hot: no allocation. */
export function nextOf<T extends Weighted>(candidates: readonly T[]): T | undefined {
  let best: T | undefined;
  let total = 0;
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]!;
    candidate.current += candidate.weight;
    total += candidate.weight;
    if (best === undefined || candidate.current > best.current) best = candidate;
  }
  if (best !== undefined) best.current -= total;
  return best;
}
