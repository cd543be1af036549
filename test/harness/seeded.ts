// Chance that is the same in every run, so that a failure can be repeated.

/** Numbers in [0, 1): a linear congruential generator with Numerical Recipes' constants. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}
