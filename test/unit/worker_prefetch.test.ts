import { expect, test } from "bun:test";

import { jobsToTake } from "../../worker/prefetch.ts";

const load = { slots: 10, prefetchMax: 64, finishedPerSecond: 0, held: 0, buffered: 0, settling: 0 };

test("jobs that take long are taken only as slots come free: others may run them", () => {
  expect(jobsToTake(load)).toBe(10);
  expect(jobsToTake({ ...load, held: 9 })).toBe(1);
  expect(jobsToTake({ ...load, held: 10 })).toBe(0);
  expect(jobsToTake({ ...load, held: 11 })).toBe(0);
});

test("jobs that take no time are taken ahead, up to the limit", () => {
  expect(jobsToTake({ ...load, finishedPerSecond: 20 })).toBe(20);
  expect(jobsToTake({ ...load, finishedPerSecond: 50_000 })).toBe(74);
});

test("while the buffer is more than a quarter full a take is not worth its round trip", () => {
  expect(jobsToTake({ ...load, finishedPerSecond: 50_000, held: 27, buffered: 17 })).toBe(0);
  expect(jobsToTake({ ...load, finishedPerSecond: 50_000, held: 26, buffered: 16 })).toBe(48);
  expect(jobsToTake({ ...load, finishedPerSecond: 50_000, held: 70, buffered: 0 })).toBe(4);
});

test("while outcomes wait for a store that is away, nothing more is taken", () => {
  expect(jobsToTake({ ...load, settling: 10 })).toBe(10);
  expect(jobsToTake({ ...load, settling: 11 })).toBe(0);
});
