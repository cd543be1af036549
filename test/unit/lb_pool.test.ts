/** How many attempts to connect a target that answers nothing can cost: they cannot be taken back once they are made. */
import { afterEach, describe, expect, test } from "bun:test";

import { Checker } from "../../lb/health/checker.ts";
import { unknown } from "../../lb/health/state.ts";
import type { UpstreamUser } from "../../lb/stream.ts";
import { Pool, type PoolLimits } from "../../lb/upstream/pool.ts";
import { clock, tick } from "../../src/std/clock.ts";
import { blackHole } from "../harness/black_hole.ts";
import { eventually } from "../harness/eventually.ts";
import { connectionsOf } from "../harness/proc.ts";

const limits: PoolLimits = {
  headBytesMax: 1_024,
  headFieldsMax: 10,
  targetBytesMax: 1_024,
  upstreamIdleMax: 0,
  upstreamKeepAliveTimeout: 1_000,
};
const second = 1_000;

/** Dials and gives up at once; what it was told instead, if it came to no attempt. */
function giveUp(pool: Pool): string | undefined {
  let told: string | undefined;
  const user = { connectFailed: (reason: string) => void (told = reason) } as unknown as UpstreamUser;
  pool.dial(user)?.abort();
  return told;
}

/** Attempts that are made of so many. */
function madeOf(pool: Pool, attempts: number): number {
  return Array.from({ length: attempts }, () => giveUp(pool)).filter((told) => told === undefined).length;
}

describe("attempts to connect that are given up", () => {
  afterEach(tick);

  test("are 256 in a row, then one a second, and who wants another is told so", () => {
    // Nobody listens there.
    const pool = new Pool({ host: "127.0.0.1", port: 1 }, limits);
    expect(madeOf(pool, 300)).toBe(256);
    expect(giveUp(pool)).toContain("one in 1 s");
    expect(pool.connectFailures).toBe(45);
    clock.now += second;
    expect(madeOf(pool, 10)).toBe(1);
    clock.now += second;
    expect(madeOf(pool, 10)).toBe(1);
  });

  test("count no longer once one has led to a connection", async () => {
    using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const pool = new Pool({ host: "127.0.0.1", port: listener.port }, limits);
    expect(madeOf(pool, 257)).toBe(256);
    await eventually(() => madeOf(pool, 10) === 10);
  });

  test("count no longer once one has failed while it was waited for: who refuses is there", async () => {
    const pool = new Pool({ host: "127.0.0.1", port: 1 }, limits);
    expect(madeOf(pool, 257)).toBe(256);
    clock.now += second;
    const told = Promise.withResolvers<string>();
    pool.dial({ connectFailed: told.resolve } as unknown as UpstreamUser);
    expect(await told.promise).toBe("ECONNREFUSED");
    expect(madeOf(pool, 10)).toBe(10);
  });
});

test("checks of a target that hangs leave four attempts behind, then one in 15 s", async () => {
  await using hole = await blackHole();
  const reasons: string[] = [];
  const options = {
    ...limits,
    healthPath: "/",
    healthMethod: "GET",
    healthStatus: [{ from: 200, to: 200 }],
    healthTimeout: 20,
    healthInterval: 1,
  };
  const checker = new Checker({ host: "127.0.0.1", port: hole.port }, options, (result) => {
    reasons.push(result.kind === "fail" ? result.reason : result.kind);
    return unknown;
  });
  checker.start();
  await eventually(() => reasons.length >= 20);
  checker.stop();
  expect(reasons.slice(0, 4)).toEqual(Array(4).fill("no answer within 20 ms"));
  expect(new Set(reasons.slice(4))).toEqual(
    new Set(["attempts to connect hang, and no more than one in 15 s is made"]),
  );
  const hanging = connectionsOf(process.pid).filter(
    ({ remotePort, state }) => remotePort === hole.port && state === "other",
  );
  expect(hanging).toHaveLength(4);
});
