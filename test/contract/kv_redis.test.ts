/** What only the Redis driver can be asked: a server that dies, hangs and comes back. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import type { Kv } from "../../src/store/kv/kv.ts";
import { openKv } from "../../src/store/kv/open.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

let redis: RedisServer;
let kv: Kv;
const changes: string[] = [];

beforeAll(async () => {
  redis = await startRedis();
  kv = openKv(redis.url, {
    namespace: freshNamespace(),
    operationTimeoutMs: 800,
    onState: (from, to) => changes.push(`${from} → ${to}`),
  });
  await kv.ping();
});
afterAll(async () => {
  await kv.close();
  await redis.remove();
});

test("every key has a time to live", async () => {
  await kv.set("v", "1", 60_000);
  await kv.increment("c", 60_000);
  await kv.hashWrite("h", { set: { a: "1" } }, 60_000);
  await kv.hashWrite("h", { set: { b: "1" }, onlyIf: { field: "a", value: "1" } }, 60_000);
  await kv.takeToken("t", { max: 2, perMs: 60_000 });
  const client = redis.client();
  const keys = await client.keys("*");
  const times = await Promise.all(keys.map((key) => client.pttl(key)));
  client.disconnect();
  expect(keys.length).toBe(4);
  expect(times.every((time) => time > 0 && time <= 60_000)).toBe(true);
});

test("values that are asked for in one turn of the loop are read in few commands, each by who asked for it", async () => {
  const keys = Array.from({ length: 300 }, (_, index) => `together${index}`);
  await Promise.all(keys.slice(1).map((key) => kv.set(key, key, 60_000)));
  const client = redis.client();
  await client.config("RESETSTAT");
  const budgets = [undefined, 30_000];
  const values = await Promise.all(budgets.flatMap((budget) => keys.map((key) => kv.get(key, budget))));
  const once = [null, ...keys.slice(1)];
  expect(values).toEqual([...once, ...once]);
  const stats = await client.info("commandstats");
  client.disconnect();
  // Of at most 256 keys each, and of one budget.
  expect(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1]).toBe("4");
  expect(stats).not.toContain("cmdstat_get:");
});

test("a value may be waited for less long than its server, which is not given up for that", async () => {
  process.kill(redis.pid(), "SIGSTOP");
  const started = performance.now();
  const patient = kv.get("v");
  patient.catch(() => undefined);
  expect(await kv.get("v", 50).catch((error: Error) => error.message)).toContain("no answer within 50ms");
  expect(performance.now() - started).toBeLessThan(700);
  expect(kv.state).toBe("ready");
  process.kill(redis.pid(), "SIGCONT");
  expect(await patient).toBe("1");
});

test("a server that hangs costs an operation its timeout and no more", async () => {
  process.kill(redis.pid(), "SIGSTOP");
  const started = performance.now();
  const failures = await Promise.allSettled([kv.get("v"), kv.set("v", "2", 1_000), kv.hashGetAll("h")]);
  process.kill(redis.pid(), "SIGCONT");
  expect(performance.now() - started).toBeLessThan(1_500);
  for (const failure of failures) {
    expect(failure).toMatchObject({ status: "rejected", reason: { code: "store_unavailable" } });
  }
  await until(() => kv.ping());
});

test("a server that died is refused at once, and used again soon after it came back", async () => {
  await redis.kill();
  await until(async () => {
    await kv.ping().catch(() => undefined);
    if (kv.state !== "down") throw new Error(kv.state);
  });
  const started = performance.now();
  expect(kv.get("v")).rejects.toMatchObject({
    code: "store_unavailable",
    hint: expect.stringContaining("check that it runs"),
  });
  expect(performance.now() - started).toBeLessThan(50);

  await redis.start();
  const back = performance.now();
  await until(() => kv.set("v", "3", 60_000));
  expect(performance.now() - back).toBeLessThan(1_500);
  expect(await kv.get("v")).toBe("3");
  expect(changes.slice(-3)).toEqual(["ready → connecting", "connecting → down", "down → ready"]);
});

test("scripts survive a server that forgot them", async () => {
  const client = redis.client();
  await client.script("FLUSH");
  client.disconnect();
  expect((await kv.takeToken("t2", { max: 1, perMs: 1_000 })).allowed).toBe(true);
});

async function until(attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await attempt();
      return;
    } catch {
      await Bun.sleep(5);
    }
  }
}
