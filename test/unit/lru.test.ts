/** What an LRU keeps, by the sum of sizes. */
import { expect, test } from "bun:test";

import { Lru } from "../../src/std/lru.ts";

function filled(sizeMax: number, entries: readonly (readonly [string, number])[]): Lru<string> {
  const lru = new Lru<string>(sizeMax);
  for (const [key, size] of entries) lru.set(key, key.toUpperCase(), size);
  return lru;
}

test.each<[string, Lru<string>, string, number]>([
  [
    "everything within the bound",
    filled(10, [
      ["a", 5],
      ["b", 5],
    ]),
    "ab",
    10,
  ],
  [
    "the newest beyond it",
    filled(10, [
      ["a", 5],
      ["b", 5],
      ["c", 1],
    ]),
    "bc",
    6,
  ],
  [
    "as many of the newest as one large one leaves",
    filled(10, [
      ["a", 3],
      ["b", 3],
      ["c", 3],
      ["d", 7],
    ]),
    "cd",
    10,
  ],
  [
    "nothing larger than the bound, and what it would replace is gone",
    filled(10, [
      ["a", 5],
      ["b", 5],
      ["a", 11],
    ]),
    "b",
    5,
  ],
  [
    "a value in place of its older one, once",
    filled(10, [
      ["a", 9],
      ["a", 2],
      ["b", 8],
    ]),
    "ab",
    10,
  ],
])("keeps %s", (_, lru, kept, size) => {
  expect(lru.size).toBe(size);
  expect(["a", "b", "c", "d"].filter((key) => lru.get(key) !== undefined).join("")).toBe(kept);
});

test("what was read stays longer than what was only written", () => {
  const lru = filled(3, [
    ["a", 1],
    ["b", 1],
    ["c", 1],
  ]);
  expect(lru.get("a")).toBe("A");
  lru.set("d", "D", 1);
  expect(lru.get("b")).toBeUndefined();
  expect(lru.get("a")).toBe("A");
});

test("what was deleted takes no room", () => {
  const lru = filled(3, [["a", 3]]);
  lru.delete("a");
  lru.delete("a");
  expect(lru.size).toBe(0);
  lru.set("b", "B", 3);
  lru.clear();
  expect([lru.size, lru.get("b")]).toEqual([0, undefined]);
});
