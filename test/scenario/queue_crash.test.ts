/**
 * Producers, workers and Redis killed at random under load. Longer, with another seed or another Redis: `bun run bench crash --seconds=300
 * --seed=7 --redis=sentinel-memory`. What each Redis may lose of what was acknowledged is said in harness/crash/redis.ts.
 */
import { expect, setDefaultTimeout, test } from "bun:test";

import { crash } from "../harness/crash.ts";
import { judge } from "../harness/crash/judge.ts";

setDefaultTimeout(120_000);

test.each([
  { redis: "append-only", seed: 1, seconds: 12, atLeast: { kills: 6, acknowledged: 500 } },
  { redis: "forgetful", seed: 2, seconds: 12, atLeast: { kills: 6, acknowledged: 500 } },
  // A failover takes seconds.
  { redis: "sentinel-replicas", seed: 18, seconds: 8, atLeast: { kills: 3, acknowledged: 200 } },
] as const)("nothing acknowledged is lost, and what runs twice is explained by a crash: %j", async (options) => {
  const report = await crash(options);
  expect(judge(report, options.redis)).toEqual([]);
  expect(report.kills.some(({ what }) => what === "redis")).toBe(true);
});
