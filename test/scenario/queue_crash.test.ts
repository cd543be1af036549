/**
 * Producers, workers and Redis killed at random under load. Longer, and with another seed: `bun run bench crash --seconds=300 --seed=7`.
 * With an append-only file that is written before Redis answers nothing that was acknowledged is lost; without one, what is in Redis when
 * it is killed is gone, and nothing else.
 */
import { expect, setDefaultTimeout, test } from "bun:test";

import { crash } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";

setDefaultTimeout(120_000);

test.each([
  { appendOnly: true, seed: 1 },
  { appendOnly: false, seed: 2 },
])("nothing acknowledged is lost, and what runs twice is explained by a crash: %j", async (options) => {
  const report = await crash({ ...options, seconds: 12, atLeast: { kills: 6, acknowledged: 500 } });
  expect(judge(report, options.appendOnly)).toEqual([]);
});
