import { expect, test } from "bun:test";

import { priorities, type Priority, Turns } from "../../src/store/queue/priorities.ts";

/** So many jobs of each. */
function store(waiting: { [P in Priority]: number }) {
  return async (priority: Priority, max: number) => {
    const given = Math.min(max, waiting[priority]);
    waiting[priority] -= given;
    return Array.from({ length: given }, () => priority);
  };
}

test("turns are spread: no priority has more than two in a row, and low one of every ten", () => {
  const turns = new Turns();
  const order = Array.from({ length: 40 }, () => turns.next(priorities).slice(0, 1)).join("");
  expect(order).toBe("hnhhnhlhnh".repeat(4));
});

test.each([
  { max: 10, waiting: { high: 99, normal: 99, low: 99 }, taken: { high: 6, normal: 3, low: 1 } },
  { max: 10, waiting: { high: 0, normal: 99, low: 99 }, taken: { high: 0, normal: 8, low: 2 } },
  { max: 10, waiting: { high: 2, normal: 0, low: 99 }, taken: { high: 2, normal: 0, low: 8 } },
  { max: 10, waiting: { high: 1, normal: 1, low: 1 }, taken: { high: 1, normal: 1, low: 1 } },
  { max: 1, waiting: { high: 0, normal: 0, low: 5 }, taken: { high: 0, normal: 0, low: 1 } },
  { max: 3, waiting: { high: 0, normal: 0, low: 0 }, taken: { high: 0, normal: 0, low: 0 } },
])("of $max with $waiting waiting, $taken are taken", async ({ max, waiting, taken }) => {
  const got = await new Turns().take(max, priorities, store({ ...waiting }));
  expect(Object.fromEntries(priorities.map((one) => [one, got.filter((each) => each === one).length]))).toEqual(taken);
});

test("one at a time, the shares are the same", async () => {
  const turns = new Turns();
  const take = store({ high: 1_000, normal: 1_000, low: 1_000 });
  const got: Priority[] = [];
  while (got.length < 100) got.push(...(await turns.take(1, priorities, take)));
  expect(priorities.map((one) => got.filter((each) => each === one).length)).toEqual([60, 30, 10]);
});
