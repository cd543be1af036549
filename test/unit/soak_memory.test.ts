// Whether memory grew, from its samples.
import { expect, test } from "bun:test";

import { type Sample, trendOf } from "../bench/soak/memory.ts";
import { seeded } from "../harness/seeded.ts";

const samples = (bytesAt: (index: number) => number): Sample[] =>
  Array.from({ length: 100 }, (_, index) => ({ at: 60 + 2 * index, bytes: bytesAt(index) }));

test("a leak under a saw-tooth is found, by its size", () => {
  const { grownBytes } = trendOf(samples((index) => 100_000 + 50 * index + 20_000 * ((index % 7) / 7)));
  expect(grownBytes).toBeGreaterThan(4_000);
  expect(grownBytes).toBeLessThan(6_000);
});

test("noise, and a peak, are no growth", () => {
  const random = seeded(3);
  const { grownBytes } = trendOf(samples((index) => 100_000 + 1_000 * random() + (index > 90 ? 1_000_000 : 0)));
  expect(Math.abs(grownBytes)).toBeLessThan(1_000);
});

test("what is shown are the first and the last fifth", () => {
  expect(trendOf(samples((index) => index))).toEqual({ firstBytes: 10, lastBytes: 90, grownBytes: 99 });
});

test("a single sample says nothing", () => {
  expect(trendOf([{ at: 0, bytes: 5 }])).toEqual({ firstBytes: 5, lastBytes: 5, grownBytes: 0 });
});
