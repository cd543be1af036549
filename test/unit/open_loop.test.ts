/** An open loop's numbers: every planned request counts, answered or not, and a pause of the server counts for all that it held up. */
import { expect, test } from "bun:test";

import { openLoop } from "../bench/open_loop.ts";
import { Latencies } from "../bench/open_loop/latencies.ts";

function latencies(answered: readonly number[], failed: number): Latencies {
  const all = new Latencies(answered.length + failed);
  for (const milliseconds of answered) all.answered(milliseconds);
  for (let index = 0; index < failed; index++) all.failed("status 503");
  return all;
}

test.each([
  [[3, 1, 2], 0, 0.5, 2],
  [[3, 1, 2], 0, 1, 3],
  [[5], 0, 0.99, 5],
  [Array.from({ length: 100 }, (_, index) => 100 - index), 0, 0.99, 99],
  [[1, 2, 3], 1, 0.75, 3],
  [[1, 2, 3], 1, 1, Number.POSITIVE_INFINITY],
])("of %j and %d failures the share %d was answered within %d ms", (answered, failed, share, expected) => {
  expect(latencies(answered, failed).percentile(share)).toBe(expected);
});

test("a server that pauses once is late for every request planned meanwhile, not for one", async () => {
  let isPaused = false;
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async () => {
      // Stops the whole server, as a collection of garbage would.
      if (!isPaused) Bun.sleepSync(300);
      isPaused = true;
      return new Response("ok");
    },
  });
  // Of 1 s, 0.3 s are a pause: a closed loop of as many connections would call only as many requests late.
  const result = await openLoop({ url: server.url.href, perSecond: 400, seconds: 1, connections: 4 });
  expect([...result.failures]).toEqual([]);
  expect(result.isComplete).toBe(true);
  expect(result.percentile(0.85)).toBeGreaterThan(50);
  expect(result.percentile(1)).toBeWithin(290, 2_000);
});
