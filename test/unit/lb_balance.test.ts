/** Smooth weighted round robin: nginx's sequence, exact over a full cycle. */
import { describe, expect, test } from "bun:test";

import { nextOf, type Weighted } from "../../lb/balance/round_robin.ts";

interface Named extends Weighted {
  readonly name: string;
}

function targets(...weights: readonly number[]): Named[] {
  return weights.map((weight, index) => ({ name: "abcdefgh"[index]!, weight, current: 0 }));
}

function sequence(of: readonly Named[], picks: number): string {
  return Array.from({ length: picks }, () => nextOf(of)?.name ?? "-").join(" ");
}

describe("smooth weighted round robin", () => {
  test.each([
    ["5, 1, 1 as nginx documents it", [5, 1, 1], "a a b a c a a"],
    ["3, 1", [3, 1], "a a b a"],
    ["equal weights take turns", [1, 1, 1], "a b c a b c"],
    ["4, 3, 2", [4, 3, 2], "a b c a b a c b a"],
    ["one target", [7], "a a a"],
  ])("%s", (_, weights, wanted) => {
    expect(sequence(targets(...weights), wanted.split(" ").length)).toBe(wanted);
  });

  test.each([[[3, 1]], [[7, 5, 3]], [[100, 1]], [[2, 2, 2, 9]]])(
    "weights %j are exact over each full cycle",
    (weights) => {
      const of = targets(...weights);
      const cycle = weights.reduce((sum, weight) => sum + weight, 0);
      for (let round = 0; round < 5; round++) {
        const counts = new Map<string, number>();
        for (const name of sequence(of, cycle).split(" ")) counts.set(name, (counts.get(name) ?? 0) + 1);
        expect(of.map(({ name }) => counts.get(name) ?? 0)).toEqual([...weights]);
      }
    },
  );

  test("among no targets there is none", () => {
    expect(nextOf([])).toBeUndefined();
  });

  test("a target that was out gets no more than its share when it is back", () => {
    const [a, b] = targets(1, 1) as [Named, Named];
    sequence([a, b], 3);
    sequence([a], 100);
    expect(sequence([a, b], 10).match(/b/g)?.length).toBeLessThanOrEqual(6);
  });
});
