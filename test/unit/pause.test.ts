import { expect, test } from "bun:test";

import { pause } from "../../src/std/pause.ts";

test("a pause lasts as long as it should, and ends with its signal", async () => {
  const stop = new AbortController();
  const started = performance.now();
  await pause(20, stop.signal);
  expect(performance.now() - started).toBeGreaterThanOrEqual(19);
  const cut = pause(60_000, stop.signal);
  stop.abort();
  await cut;
  await pause(60_000, stop.signal);
  expect(performance.now() - started).toBeLessThan(10_000);
});
