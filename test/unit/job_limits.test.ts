import { expect, test } from "bun:test";

import type { JobOptions } from "scale";

import { gatesOf, limitsOf } from "../../src/runtime/job_limits.ts";

const gates = (options: JobOptions, key?: string) => gatesOf("mail", limitsOf("mail", options), key);

test.each<readonly [JobOptions, string | undefined, readonly object[]]>([
  [{}, undefined, []],
  [{}, "user:7", [{ name: "key:mail:user:7", max: 1, keep: true }]],
  [{ concurrency: 5 }, undefined, [{ name: "job:mail", max: 5 }]],
  [{ concurrency: { perKey: 2 } }, undefined, []],
  [{ concurrency: { perKey: 2 } }, "a", [{ name: "key:mail:a", max: 2 }]],
  [
    {
      concurrency: { perJob: 9, perKey: 2 },
      rateLimit: { perJob: { max: 3, per: "1s" }, perKey: { max: 1, per: 500 } },
    },
    "a",
    [
      { name: "key:mail:a", max: 2 },
      { name: "key-rate:mail:a", max: 1, per: 500 },
      { name: "job:mail", max: 9 },
      { name: "rate:mail", max: 3, per: 1_000 },
    ],
  ],
  [{ rateLimit: { max: 10, per: "1m" } }, undefined, [{ name: "rate:mail", max: 10, per: 60_000 }]],
])("%j with the key %p has the gates %j", (options, key, expected) => {
  expect(gates(options, key)).toEqual(expected as never);
});

test("gates of different jobs and keys have different names, without control characters", () => {
  const names = [
    ["a:b", "c"],
    ["a", "b:c"],
    ["a", "b\nc"],
    ["a", "b%0Ac"],
  ].map(([name = "", key]) => gatesOf(name, limitsOf(name, {}), key)[0]!.name);
  expect(new Set(names).size).toBe(4);
  expect(names.join("")).not.toContain("\n");
});

test.each<readonly [JobOptions, string]>([
  [{ concurrency: 0 }, "concurrency is 0, expected a whole number, 1–10000"],
  [{ concurrency: { perKey: 1.5 } }, "concurrency.perKey is 1.5, expected"],
  [{ rateLimit: { max: 20_000, per: "1s" } }, "rateLimit.max is 20000, expected"],
  [{ rateLimit: { perKey: { max: 1, per: "1ms" } } }, 'rateLimit.perKey.per is "1ms", expected 10ms–30d'],
])("%j is refused where the job is defined", (options, message) => {
  expect(() => limitsOf("mail", options)).toThrow(message);
});

test.each([
  ["", '""'],
  ["k".repeat(513), "513 characters long"],
])("a key of %p is refused", (key, shown) => {
  expect(() => gates({}, key)).toThrow(`key is ${shown}, expected 1–512 characters`);
});
