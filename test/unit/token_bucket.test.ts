import { expect, test } from "bun:test";

import type { TokenVerdict } from "../../src/store/kv/kv.ts";
import { type Bucket, takeFrom } from "../../src/store/kv/token_bucket.ts";

const rule = { max: 3, perMs: 3_000 };

function take(times: readonly number[]): TokenVerdict[] {
  let bucket: Bucket | null = null;
  return times.map((nowMs) => {
    const taken: ReturnType<typeof takeFrom> = takeFrom(bucket, rule, nowMs);
    bucket = taken.bucket;
    return taken.verdict;
  });
}

test("a new bucket is full, and an empty one says when the next token comes", () => {
  expect(take([0, 0, 0, 0])).toEqual([
    { allowed: true },
    { allowed: true },
    { allowed: true },
    { allowed: false, retryAfterMs: 1_000 },
  ]);
});

test("tokens come back one by one, never more than fit", () => {
  expect(take([0, 0, 0, 999, 1_000]).map(({ allowed }) => allowed)).toEqual([true, true, true, false, true]);
  expect(take([0, 1e9, 1e9, 1e9, 1e9]).map(({ allowed }) => allowed)).toEqual([true, true, true, true, false]);
});

test("a clock that goes backwards gives nothing away", () => {
  expect(take([5_000, 5_000, 5_000, 0]).at(-1)).toEqual({ allowed: false, retryAfterMs: 1_000 });
});
