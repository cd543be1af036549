/** How long to wait before trying again. Pure: the randomness is an argument. */

/**
 * Full jitter over a doubling ceiling: uniform in [0, min(max, base · 2^(attempt−1))], in milliseconds; the first attempt is 1.
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function fullJitter(attempt: number, base: number, max: number, random: () => number = Math.random): number {
  const ceiling = Math.min(max, base * 2 ** Math.min(attempt - 1, 30));
  return Math.floor(random() * ceiling);
}
