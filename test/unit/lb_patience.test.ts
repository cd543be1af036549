/** How long a client is waited for: what it spends, what it earns, and that it never has more than the limit. */
import { expect, test } from "bun:test";

import { Patience } from "../../lb/patience.ts";

type Step = readonly ["wait" | "stop" | "earn" | "renew", now: number, bytes?: number];

const scripts: readonly (readonly [promise: string, rate: number, steps: readonly Step[], left: number])[] = [
  ["has all of it at first", 100, [], 30_000],
  [
    "spends it while it is waited for",
    100,
    [
      ["wait", 0],
      ["stop", 10_000],
    ],
    20_000,
  ],
  [
    "spends nothing while something else is waited for",
    100,
    [
      ["wait", 0],
      ["stop", 10_000],
      ["wait", 25_000],
    ],
    20_000,
  ],
  [
    "earns by each byte",
    100,
    [
      ["wait", 0],
      ["earn", 10_000, 500],
    ],
    25_000,
  ],
  [
    "never has more than the limit",
    100,
    [
      ["wait", 0],
      ["earn", 10_000, 500_000],
    ],
    30_000,
  ],
  [
    "spends before it earns",
    100,
    [
      ["wait", 0],
      ["earn", 29_000, 500_000],
      ["wait", 29_000],
    ],
    30_000,
  ],
  [
    "runs out though it sends something all the time",
    100,
    [
      ["wait", 0],
      ["earn", 20_000, 100],
      ["wait", 20_000],
      ["earn", 31_000, 100],
    ],
    1_000,
  ],
  [
    "is given all of it for any byte where there is no rate",
    0,
    [
      ["wait", 0],
      ["earn", 29_000, 1],
    ],
    30_000,
  ],
  [
    "is not given any for none",
    0,
    [
      ["wait", 0],
      ["earn", 29_000, 0],
      ["stop", 29_000],
    ],
    1_000,
  ],
  [
    "begins anew with each message",
    100,
    [
      ["wait", 0],
      ["stop", 29_000],
      ["renew", 29_000],
    ],
    30_000,
  ],
];

test.each(scripts)("a client %s", (_, bodyBytesPerSecondMin, steps, left) => {
  const patience = new Patience({ bodyTimeout: 30_000, bodyBytesPerSecondMin });
  let last = 0;
  for (const [what, now, bytes = 0] of steps) {
    last = now;
    if (what === "earn") patience.earn(bytes, now);
    else patience[what](now);
  }
  expect(patience.wait(last) - last).toBe(left);
});
