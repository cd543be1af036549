import { expect, test } from "bun:test";

import { Slots } from "../../worker/slots.ts";

test("no more slots are taken than there are", () => {
  const slots = new Slots(2);
  expect([slots.take(), slots.take(), slots.take()]).toEqual([true, true, false]);
  expect(slots.used).toBe(2);
  slots.release();
  expect(slots.used).toBe(1);
  expect(slots.take()).toBe(true);
});

test("queues that wait get free slots in turn", () => {
  const slots = new Slots(1);
  const started: string[] = [];
  const waiting = new Map([
    ["a", 2],
    ["b", 1],
    ["c", 2],
  ]);
  for (const queue of waiting.keys()) {
    slots.share(() => {
      const left = waiting.get(queue)!;
      if (left === 0 || !slots.take()) return false;
      waiting.set(queue, left - 1);
      started.push(queue);
      return true;
    });
  }
  slots.take();
  for (let released = 0; released < 6; released++) slots.release();
  expect(started.toSorted()).toEqual(["a", "a", "b", "c", "c"]);
  expect(new Set(started.slice(0, 3)).size).toBe(3);
});
