/**
 * The less busy of two targets drawn at random, by weight. Nearly as even as looking at all, and what many balancers decide at once on
 * the same picture does not all fall on one target.
 * Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12 (2001).
 */
import { type Candidate, isOpen, loadOf } from "./candidate.ts";

/** `random` is uniform in [0, 1). Hot: no allocation. */
export function twoChoices<C extends Candidate>(
  candidates: readonly C[],
  tried: readonly C[],
  random: () => number = Math.random,
): C | undefined {
  const first = draw(candidates, tried, undefined, random);
  if (first === undefined) return undefined;
  const second = draw(candidates, tried, first, random);
  // Of equals the first: drawn by weight, it keeps an idle service's split.
  return second !== undefined && loadOf(second) < loadOf(first) ? second : first;
}

/** One of the open candidates but `other`, each as likely as its share; undefined if there is none. */
function draw<C extends Candidate>(
  candidates: readonly C[],
  tried: readonly C[],
  other: C | undefined,
  random: () => number,
): C | undefined {
  let total = 0;
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]!;
    if (candidate !== other && isOpen(candidate, tried)) total += candidate.share;
  }
  let left = random() * total;
  let drawn: C | undefined;
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]!;
    if (candidate === other || !isOpen(candidate, tried)) continue;
    drawn = candidate;
    left -= candidate.share;
    if (left < 0) break;
  }
  return drawn;
}
