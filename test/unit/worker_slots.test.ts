import { expect, test } from "bun:test";

import { Slots } from "../../worker/slots.ts";

/** A queue with so many jobs waiting, which never end by themselves. */
function waiting(slots: Slots, name: string, jobs: number, started: string[]): void {
  let left = jobs;
  let claimed = 0;
  slots.share({
    claim: () => {
      if (left === 0) return false;
      left--;
      claimed++;
      return true;
    },
    start: () => {
      for (; claimed > 0; claimed--) started.push(name);
    },
  });
}

test("no more slots are taken than there are", async () => {
  const slots = new Slots(2);
  const started: string[] = [];
  waiting(slots, "a", 5, started);
  slots.fill();
  expect([started.length, slots.used]).toEqual([2, 2]);
  slots.release();
  await Promise.resolve();
  expect([started.length, slots.used]).toEqual([3, 2]);
});

test("slots that come free together are filled together", async () => {
  const slots = new Slots(3);
  const batches: number[] = [];
  let claimed = 0;
  slots.share({
    claim: () => ++claimed > 0,
    start: () => {
      batches.push(claimed);
      claimed = 0;
    },
  });
  slots.fill();
  for (let ended = 0; ended < 3; ended++) slots.release();
  await Promise.resolve();
  expect(batches).toEqual([3, 3]);
});

test("queues that wait get free slots in turn", async () => {
  const slots = new Slots(1);
  const started: string[] = [];
  waiting(slots, "a", 2, started);
  waiting(slots, "b", 1, started);
  waiting(slots, "c", 2, started);
  slots.fill();
  for (let released = 0; released < 5; released++) {
    slots.release();
    await Promise.resolve();
  }
  expect(started.toSorted()).toEqual(["a", "a", "b", "c", "c"]);
  expect(new Set(started.slice(0, 3)).size).toBe(3);
});

test("who is alone waits for what runs, nothing starts beside him, and then the others do", async () => {
  const slots = new Slots(3);
  const started: string[] = [];
  waiting(slots, "a", 5, started);
  slots.fill();
  const first = slots.takeAlone(50);
  const second = slots.takeAlone(50);
  for (let ended = 0; ended < 3; ended++) slots.release();
  const { alone, letOthers } = await first;
  expect([alone, slots.used, started.length]).toEqual([true, 1, 3]);
  slots.release();
  letOthers();
  letOthers();
  expect([slots.used, started.length]).toEqual([2, 5]);
  slots.release();
  slots.release();
  expect((await second).alone).toBe(true);
});

test("who would be alone starts beside what does not end, and knows it", async () => {
  const slots = new Slots(2);
  const started: string[] = [];
  waiting(slots, "a", 1, started);
  slots.fill();
  const { alone } = await slots.takeAlone(50);
  expect([alone, slots.used]).toEqual([false, 2]);
});
