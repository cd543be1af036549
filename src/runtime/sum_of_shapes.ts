/** The statements that several processes have sent, as one list. Pure. Who notes them is statements.ts. */

/** A statement with $1, $2, … in place of values, and how often it was sent. */
export interface Shape {
  readonly text: string;
  readonly times: number;
}

/** The most used first. */
export function sumOfShapes(all: readonly (readonly Shape[])[]): readonly Shape[] {
  const sums = new Map<string, number>();
  for (const { text, times } of all.flat()) sums.set(text, (sums.get(text) ?? 0) + times);
  return Array.from(sums, ([text, times]) => ({ text, times })).toSorted((a, b) => b.times - a.times);
}
