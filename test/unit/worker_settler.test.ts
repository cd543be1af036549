import { expect, test } from "bun:test";

import type { Lease, Settlement } from "../../src/store/queue/queue.ts";
import { Settler } from "../../worker/settler.ts";

const completed = (entry: string): Settlement => ({ to: "completed", lease: { entry } as Lease });

test("outcomes that come while one is being recorded go together in the next", async () => {
  const batches: number[] = [];
  const first = Promise.withResolvers<void>();
  const source = {
    settle: async (settlements: readonly Settlement[]) => {
      batches.push(settlements.length);
      await first.promise;
      return [];
    },
  };
  const settler = new Settler(source, new AbortController().signal);
  const outcomes = [settler.settle(completed("1"))];
  while (batches.length === 0) await new Promise((turn) => setImmediate(turn));
  for (let entry = 2; entry <= 700; entry++) outcomes.push(settler.settle(completed(String(entry))));
  first.resolve();
  expect((await Promise.all(outcomes)).every(Boolean)).toBe(true);
  expect(batches).toEqual([1, 500, 199]);
});

test("a lost lease is told to whoever settled it, and to nobody else", async () => {
  const source = { settle: (settlements: readonly Settlement[]) => Promise.resolve([settlements[1]!.lease]) };
  const settler = new Settler(source, new AbortController().signal);
  expect(await Promise.all(["1", "2", "3"].map((entry) => settler.settle(completed(entry))))).toEqual([
    true,
    false,
    true,
  ]);
});

test("a store that is away is asked again until it answers", async () => {
  let asked = 0;
  const source = {
    settle: () => {
      if (++asked < 3) return Promise.reject(new Error("away"));
      return Promise.resolve([]);
    },
  };
  expect(await new Settler(source, new AbortController().signal).settle(completed("1"))).toBe(true);
  expect(asked).toBe(3);
});

test("what is asked again is the same round, and what comes after is another", async () => {
  const rounds: unknown[] = [];
  const source = {
    settle: (_: readonly Settlement[], round?: number) => {
      rounds.push(round);
      return rounds.length === 1 ? Promise.reject(new Error("away")) : Promise.resolve([]);
    },
  };
  const settler = new Settler(source, new AbortController().signal);
  await settler.settle(completed("1"));
  await settler.settle(completed("2"));
  expect(rounds).toEqual([1, 1, 2]);
});

test("once the worker has gone an outcome that cannot be recorded counts as lost", async () => {
  const source = { settle: () => Promise.reject(new Error("away")) };
  expect(await new Settler(source, AbortSignal.abort()).settle(completed("1"))).toBe(false);
});
