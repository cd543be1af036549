/** How much of its weight a target gets while it starts slowly: caches are cold, code is not compiled, pools are empty. Pure. */

const firstPart = 0.1;

/** From a tenth to all of it, linearly over `lasts` milliseconds. */
export function slowPart(age: number, lasts: number): number {
  if (age >= lasts) return 1;
  return firstPart + (1 - firstPart) * (Math.max(0, age) / lasts);
}
