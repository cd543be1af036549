/** Cache and limits as an application sees them, on every form of key-value store. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Config } from "../../src/config/options.ts";
import { cache } from "../../src/runtime/cache.ts";
import { HttpError } from "../../src/runtime/http_error.ts";
import { JsonText } from "../../src/runtime/json_text.ts";
import { limit } from "../../src/runtime/limit.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`on ${driver}`, () => {
    beforeAll(async () => {
      openStores({ redisUrl: await urlOf(), namespace: freshNamespace(), cacheTimeout: 2_000 } as Config);
    });
    afterAll(closeStores);

    test("a cached value is loaded once, and looks the same on the miss as on the hit", async () => {
      let loads = 0;
      const load = () => {
        loads++;
        return { at: new Date(0), none: undefined, list: [1, null] };
      };
      const missed: unknown = await cache.get("same", { ttl: "1m" }, load);
      const hit: unknown = await cache.get("same", { ttl: "1m" }, load);
      expect(missed).toEqual({ at: "1970-01-01T00:00:00.000Z", list: [1, null] });
      expect(hit).toEqual(missed);
      expect(loads).toBe(1);
    });

    test("a null is a value; JSON text stays text", async () => {
      await cache.set("null", null, { ttl: "1m" });
      expect(await cache.get<unknown>("null", { ttl: "1m" }, () => "loaded")).toBeNull();
      await cache.get("text", { ttl: "1m" }, () => new JsonText('{"a":1}'));
      expect(await cache.get<unknown>("text", { ttl: "1m" }, () => "loaded")).toEqual(new JsonText('{"a":1}'));
    });

    test("a value over 1 MiB is served and not kept, nor what it would have replaced", async () => {
      const [large, most] = ["x".repeat(1_048_577), "x".repeat(1_000_000)];
      let loads = 0;
      const get = (value: string) => cache.get("large", { ttl: "1m" }, () => (loads++, value));
      for (const value of [large, large, most, most]) expect(await get(value)).toBe(value);
      expect(loads).toBe(3);
      await cache.set("large", large, { ttl: "1m" });
      expect(await get("loaded")).toBe("loaded");
    });

    test("many who ask at a time cause one load", async () => {
      let loads = 0;
      const load = async () => {
        loads++;
        await Bun.sleep(20);
        return loads;
      };
      const all = await Promise.all(Array.from({ length: 50 }, () => cache.get("flight", { ttl: "1m" }, load)));
      expect(new Set(all)).toEqual(new Set([1]));
      expect(loads).toBe(1);
    });

    test("an invalidated key or tag is loaded anew", async () => {
      let version = 1;
      const byKey = () => cache.get("key", { ttl: "1m" }, () => version);
      const byTag = () => cache.get("tagged", { ttl: "1m", tags: ["users", "posts"] }, () => version);
      expect([await byKey(), await byTag()]).toEqual([1, 1]);
      version = 2;
      expect([await byKey(), await byTag()]).toEqual([1, 1]);
      await cache.invalidate({ keys: ["key"], tags: ["posts"] });
      expect([await byKey(), await byTag()]).toEqual([2, 2]);
      expect([await byKey(), await byTag()]).toEqual([2, 2]);
    });

    test("what was loaded before an invalidation is not stored after it", async () => {
      const loading = Promise.withResolvers<string>();
      const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
      const load = (index: 0 | 1) => () => {
        begun[index].resolve();
        return loading.promise;
      };
      const first = cache.get("race", { ttl: "1m" }, load(0));
      const tagged = cache.get("race-tag", { ttl: "1m", tags: ["race"] }, load(1));
      await Promise.all(begun.map(({ promise }) => promise));
      await cache.invalidate({ keys: ["race"], tags: ["race"] });
      loading.resolve("old");
      expect([await first, await tagged]).toEqual(["old", "old"]);
      expect(await cache.get("race", { ttl: "1m" }, () => "new")).toBe("new");
      expect(await cache.get("race-tag", { ttl: "1m", tags: ["race"] }, () => "new")).toBe("new");
    });

    test("who asks after a tag was invalidated does not get what was being loaded before", async () => {
      const begun = Promise.withResolvers<void>();
      const loading = Promise.withResolvers<string>();
      const options = { ttl: "1m", tags: ["moved"] };
      const first = cache.get("joined-tag", options, () => {
        begun.resolve();
        return loading.promise;
      });
      await begun.promise;
      await cache.invalidate({ tags: ["moved"] });
      const later = Array.from({ length: 5 }, () => cache.get("joined-tag", options, () => "new"));
      loading.resolve("old");
      expect(await first).toBe("old");
      expect(new Set(await Promise.all(later))).toEqual(new Set(["new"]));
    });

    test("a load that fails after an invalidation serves nothing from before it", async () => {
      const options = { ttl: 1, staleIfError: "1m" };
      await cache.set("failing", "old", options);
      await Bun.sleep(5);
      const fails = async () => {
        await cache.invalidate({ keys: ["failing"] });
        throw new Error("down");
      };
      await expect(cache.get("failing", options, fails)).rejects.toThrow("down");
    });

    test("who waited for the same load gets a value of his own", async () => {
      const load = async () => {
        await Promise.resolve();
        return { list: [] as number[] };
      };
      const [a, b] = await Promise.all([cache.get("own", { ttl: "1m" }, load), cache.get("own", { ttl: "1m" }, load)]);
      a.list.push(1);
      expect(b.list).toEqual([]);
    });

    test("what is set while an older value is being loaded stays", async () => {
      const begun = Promise.withResolvers<void>();
      const loading = Promise.withResolvers<string>();
      const first = cache.get("set-race", { ttl: "1m" }, () => {
        begun.resolve();
        return loading.promise;
      });
      await begun.promise;
      await cache.set("set-race", "new", { ttl: "1m" });
      loading.resolve("old");
      await first;
      expect(await cache.get("set-race", { ttl: "1m" }, () => "loaded")).toBe("new");
    });

    test("a ttl or period that cannot be read says which one, what it got and what it expected", async () => {
      await expect(cache.get("k", { ttl: "1 hour" }, () => 1)).rejects.toThrow(
        'the ttl of cache key "k" is "1 hour", expected a duration such as 250ms, 10s, 5m, 1h or 30d',
      );
      await expect(limit("k", { max: 1, per: 0 })).rejects.toThrow('the period of limit("k") is 0');
    });

    test("a value past its ttl is served while one caller loads it anew, then the new one is", async () => {
      let loads = 0;
      const options = { ttl: 20, stale: "1m" };
      const get = () => cache.get("stale", options, () => ++loads);
      expect(await get()).toBe(1);
      await Bun.sleep(30);
      const during = await Promise.all(Array.from({ length: 20 }, get));
      expect(new Set(during)).toEqual(new Set([1]));
      await eventually(async () => (await get()) >= 2);
      expect(loads).toBeLessThanOrEqual(3);
    });

    test("a value past its ttl is served where loading fails, and no longer than asked", async () => {
      const fails = () => Promise.reject(new Error("down"));
      const options = { ttl: 10, staleIfError: "1m" };
      await cache.get("kept", options, () => "old");
      await Bun.sleep(20);
      expect(await cache.get<string>("kept", options, fails)).toBe("old");
      await expect(cache.get("kept", { ttl: 10, staleIfError: 1 }, fails)).rejects.toThrow("down");
      expect(await cache.get("kept", options, () => "new")).toBe("new");
    });

    test("an invalidation ends stale serving too", async () => {
      const options = { ttl: 10, stale: "1m", staleIfError: "1m" };
      await cache.get("ended", options, () => "old");
      await Bun.sleep(20);
      await cache.invalidate({ keys: ["ended"] });
      expect(await cache.get("ended", options, () => "new")).toBe("new");
    });

    test("nothing has a ttl of its own", async () => {
      let loads = 0;
      const get = () =>
        cache.get("nothing", { ttl: "1m", negativeTtl: 20 }, () => {
          loads++;
          return null;
        });
      await get();
      await get();
      expect(loads).toBe(1);
      await eventually(async () => {
        await get();
        return loads === 2;
      });
    });

    test("a value JSON cannot carry is an error that names its path", async () => {
      const of = (value: unknown) => cache.get("bad", { ttl: "1m" }, () => value);
      await expect(of({ user: { id: 1n } })).rejects.toThrow('the value of cache key "bad".user.id is a bigint');
      await expect(of([1, undefined])).rejects.toThrow('cache key "bad"[1] is undefined');
      await expect(of(new Map())).rejects.toThrow("is a Map");
      await expect(of(undefined)).rejects.toThrow("is undefined");
      await expect(of(Number.NaN)).rejects.toThrow("is NaN");
    });

    test("a load that fails is not stored", async () => {
      await expect(cache.get("fails", { ttl: "1m" }, () => Promise.reject(new Error("down")))).rejects.toThrow("down");
      expect(await cache.get("fails", { ttl: "1m" }, () => "up")).toBe("up");
    });

    test("a bucket gives its tokens and then says when to come back", async () => {
      const rule = { max: 3, per: "1h" };
      for (let n = 0; n < 3; n++) await limit("bucket", rule);
      const refused = await limit("bucket", rule).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(HttpError);
      const { status, details } = refused as HttpError;
      expect(status).toBe(429);
      const seconds = Number(new Headers(details.headers).get("retry-after"));
      expect(seconds).toBeWithin(1_100, 1_201);
      await limit("another", rule);
    });
  });
}

test("a store nobody configured is an error that names the flag, only when it is touched", async () => {
  openStores({ namespace: "none" } as Config);
  await expect(cache.get("a", { ttl: 1 }, () => 1)).rejects.toThrow("cache.get() needs a key-value store");
  await closeStores();
});
