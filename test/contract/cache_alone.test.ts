/** A cache whose store is gone, hangs, or tells nothing: what a request still gets, and what that may cost the database. And how entries spread. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";

import type { Config } from "../../src/config/options.ts";
import { cache } from "../../src/runtime/cache.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { eventually } from "../harness/eventually.ts";
import { freeze } from "../harness/proc.ts";
import { freshNamespace, sharedRedis, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

afterEach(closeStores);

function open(redisUrl: string, cacheTimeout?: number): string {
  const namespace = freshNamespace();
  openStores({ redisUrl, namespace, cacheTimeout } as Config);
  return namespace;
}

test("with no store every value is loaded, 32 at a time, and none fails", async () => {
  open("redis://127.0.0.1:1");
  let [running, most] = [0, 0];
  const load = async () => {
    most = Math.max(most, ++running);
    await Bun.sleep(5);
    running--;
    return "loaded";
  };
  const values = await Promise.all(Array.from({ length: 500 }, (_, n) => cache.get(`key ${n}`, { ttl: "1m" }, load)));
  expect(new Set(values)).toEqual(new Set(["loaded"]));
  expect(most).toBe(32);
});

test("what more loads would pile up to is refused as too much, and by then a thousand wait", async () => {
  open("redis://127.0.0.1:1");
  const gate = Promise.withResolvers<string>();
  const refused: unknown[] = [];
  const all = Array.from({ length: 1_100 }, (_, n) =>
    cache.get(`key ${n}`, { ttl: "1m" }, () => gate.promise).catch((error: unknown) => void refused.push(error)),
  );
  await eventually(() => refused.length === 1_100 - 32 - 1_000);
  expect(refused[0]).toMatchObject({
    code: "overloaded",
    message: expect.stringContaining("1000 loads wait already"),
  });
  gate.resolve("loaded");
  await Promise.all(all);
  expect(refused).toHaveLength(1_100 - 32 - 1_000);
});

test("a store that hangs costs a request its budget, then nothing", async () => {
  const redis = await startRedis();
  open(redis.url);
  const get = (n: number) => cache.get(`key ${n}`, { ttl: "1m" }, () => n);
  // Until it is there: a look-up that the start of a connection has made late is a failure too.
  let loads = 0;
  await eventually(async () => {
    const before = loads;
    await cache.get("warm", { ttl: "1m" }, () => ++loads);
    return loads === before;
  });
  const thaw = freeze(redis.pid());
  const took: number[] = [];
  for (let n = 1; n <= 20; n++) {
    const before = performance.now();
    expect(await get(n)).toBe(n);
    took.push(performance.now() - before);
  }
  thaw();
  await redis.remove();
  // 50 ms while it is believed in, five times. An operation of its own waits for 1 s.
  expect(Math.min(...took.slice(0, 5))).toBeWithin(40, 500);
  expect(Math.min(...took.slice(5))).toBeLessThan(40);
});

test("what is stored together does not end together: times to live differ by five in a hundred either way, and no more", async () => {
  const redis = await sharedRedis();
  // A machine that is busy with all of them is no store that is slow.
  const namespace = open(redis.url, 5_000);
  await Promise.all(Array.from({ length: 200 }, (_, n) => cache.get(`key ${n}`, { ttl: "1000s" }, () => n)));
  const client = redis.client();
  const left = await Promise.all(Array.from({ length: 200 }, (_, n) => client.pttl(`{${namespace}:cache:key ${n}}`)));
  client.disconnect();
  const seconds = left.map((milliseconds) => milliseconds / 1_000);
  expect(Math.min(...seconds)).toBeWithin(900, 970);
  expect(Math.max(...seconds)).toBeWithin(1_030, 1_050.1);
});

test("nothing is kept in a process for longer than a minute, whatever is asked for", async () => {
  open((await sharedRedis()).url);
  await expect(cache.get("key", { ttl: "1h", local: "2m" }, () => 1)).rejects.toThrow('the local of cache key "key"');
});
