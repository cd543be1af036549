/** What every Kv driver promises, run on each: a real Redis, one behind Sentinels, and a SQLite file. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Kv } from "../../src/store/kv/kv.ts";
import { openKv } from "../../src/store/kv/open.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const minute = 60_000;

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`kv on ${driver}`, () => {
    const namespace = freshNamespace();
    let kv: Kv;
    let second: Kv;
    let url: string;
    beforeAll(async () => {
      url = await urlOf();
      kv = openKv(url, { namespace });
      second = openKv(url, { namespace });
    });
    afterAll(async () => {
      await kv.close();
      await second.close();
    });

    test("a value written by one process is read by another, and is gone once deleted", async () => {
      expect(await kv.get("a")).toBeNull();
      expect(await kv.set("a", "ünï\0code", minute)).toBe(true);
      expect(await second.get("a")).toBe("ünï\0code");
      await second.delete(["a", "never-there"]);
      expect(await kv.get("a")).toBeNull();
    });

    test("one at a time has the claim to make a value, until its time is over", async () => {
      const claims = await Promise.all(
        Array.from({ length: 20 }, (_, n) => (n % 2 ? kv : second).claim("made", minute)),
      );
      const [held, ...others] = claims.filter((claim) => claim !== null);
      expect(others).toEqual([]);
      expect(await second.settle("made", "not the claim", "forged", minute)).toBe(false);
      expect(await second.settle("made", held!, "value", minute)).toBe(true);
      expect(await kv.get("made")).toBe("value");
      expect(await kv.settle("made", held!, "twice", minute)).toBe(false);
      expect(await kv.claim("short", 20)).toBeString();
      await eventually(async () => (await second.claim("short", minute)) !== null);
    });

    test("a claim ends when its value is deleted or replaced, and what was made under it is not stored", async () => {
      for (const end of [() => second.delete(["ended"]), () => second.replace("ended", "newer", minute)]) {
        const claim = await kv.claim("ended", minute);
        await end();
        const now = await kv.get("ended");
        expect(await kv.settle("ended", claim!, "older", minute)).toBe(false);
        expect(await kv.get("ended")).toBe(now);
      }
    });

    test("a claim given back is the next one's, and only its holder can give it back", async () => {
      const claim = await kv.claim("back", minute);
      await second.unclaim("back", "not the claim");
      expect(await second.claim("back", minute)).toBeNull();
      await second.unclaim("back", claim!);
      expect(await second.claim("back", minute)).toBeString();
    });

    test("an empty value is a value", async () => {
      await kv.set("empty", "", minute);
      expect(await kv.get("empty")).toBe("");
    });

    test("getMany keeps the order and says null where there is none", async () => {
      await kv.set("m1", "1", minute);
      await kv.set("m3", "3", minute);
      expect(await kv.getMany(["m3", "m2", "m1"])).toEqual(["3", null, "1"]);
      expect(await kv.getMany([])).toEqual([]);
    });

    test("a value is invisible once its time is over, and can then be set only-if-absent", async () => {
      await kv.set("short", "old", 30);
      expect(await kv.set("short", "new", minute, { onlyIfAbsent: true })).toBe(false);
      await until(async () => (await kv.get("short")) === null);
      expect(await kv.set("short", "new", minute, { onlyIfAbsent: true })).toBe(true);
      expect(await second.get("short")).toBe("new");
    });

    test("expire starts the time again, and does not bring back what is gone", async () => {
      await kv.set("kept", "x", 50);
      expect(await kv.expire("kept", minute)).toBe(true);
      expect(await kv.expire("never-there", minute)).toBe(false);
      await kv.set("brief", "x", 20);
      await until(async () => (await kv.get("brief")) === null);
      expect(await kv.expire("brief", minute)).toBe(false);
      expect(await kv.get("kept")).toBe("x");
    });

    test("a version never repeats, even after it was evicted", async () => {
      const first = await kv.increment("version", minute);
      const next = await second.increment("version", minute);
      await kv.delete(["version"]);
      const after = await kv.increment("version", minute);
      expect(Number(next)).toBeGreaterThan(Number(first));
      expect(Number(after)).toBeGreaterThan(Number(next));
      expect(await kv.get("version")).toBe(after);
    });

    test("versions moved by many at once are all different", async () => {
      const versions = await Promise.all(
        Array.from({ length: 50 }, (_, index) => (index % 2 ? kv : second).increment("busy", minute)),
      );
      expect(new Set(versions).size).toBe(50);
    });

    test("parallel writes of different fields do not lose each other's", async () => {
      await kv.hashWrite("h", { set: { start: "1" } }, minute);
      await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (index % 2 ? kv : second).hashWrite("h", { set: { [`f${index}`]: String(index) } }, minute),
        ),
      );
      expect(Object.keys((await kv.hashGetAll("h"))!)).toHaveLength(21);
    });

    test("fields are set and deleted in one step", async () => {
      await kv.hashWrite("fields", { set: { a: "1", b: "2", __proto__x: "3" } }, minute);
      expect(await kv.hashWrite("fields", { set: { c: "" }, delete: ["a", "never-there"] }, minute)).toBe(true);
      expect(await second.hashGetAll("fields")).toEqual({ b: "2", c: "", __proto__x: "3" });
    });

    test("a change that expects a value is made only while the hash has it: not after another change, nor after its end", async () => {
      const onlyIf = { field: "epoch", value: "1" };
      await kv.hashWrite("session", { set: { epoch: "1", user: "7", "": "" } }, minute);
      expect(await second.hashWrite("session", { set: { cart: "1" }, delete: ["user"], onlyIf }, minute)).toBe(true);
      expect(await kv.hashGetAll("session")).toEqual({ epoch: "1", cart: "1", "": "" });
      expect(await kv.hashWrite("session", { delete: ["cart"], onlyIf: { field: "", value: "" } }, minute)).toBe(true);
      await second.hashWrite("session", { set: { epoch: "2" } }, minute);
      expect(await kv.hashWrite("session", { set: { late: "1" }, delete: [""], onlyIf }, minute)).toBe(false);
      expect(await kv.hashGetAll("session")).toEqual({ epoch: "2", "": "" });
      await second.delete(["session"]);
      expect(await kv.hashWrite("session", { set: { epoch: "1" }, onlyIf }, minute)).toBe(false);
      expect(await kv.hashGetAll("session")).toBeNull();
    });

    test("of many changes that expect the same value exactly one is made", async () => {
      await kv.hashWrite("raced", { set: { n: "0" } }, minute);
      const made = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (index % 2 ? kv : second).hashWrite(
            "raced",
            { set: { n: `by ${index}` }, onlyIf: { field: "n", value: "0" } },
            minute,
          ),
        ),
      );
      expect(made.filter(Boolean)).toHaveLength(1);
      expect(await kv.hashGetAll("raced")).toEqual({ n: `by ${made.indexOf(true)}` });
    });

    test("a hash without fields does not exist", async () => {
      await kv.hashWrite("bare", { set: { a: "1" } }, minute);
      await kv.hashWrite("bare", { delete: ["a"] }, minute);
      expect(await kv.hashGetAll("bare")).toBeNull();
      const onlyIf = { field: "a", value: "1" };
      expect(await kv.hashWrite("bare", { set: { b: "1" }, onlyIf }, minute)).toBe(false);
    });

    test("a write starts the hash's time again", async () => {
      await kv.hashWrite("sliding", { set: { a: "1" } }, 40);
      await kv.hashWrite("sliding", { set: { b: "1" } }, minute);
      await kv.hashWrite("ends", { set: { a: "1" } }, 40);
      await until(async () => (await kv.hashGetAll("ends")) === null);
      expect(await kv.hashGetAll("sliding")).toEqual({ a: "1", b: "1" });
    });

    test("a bucket gives out exactly its tokens over all processes, then says how long to wait", async () => {
      const rule = { max: 5, perMs: minute };
      const asked = Array.from({ length: 20 }, (_, index) => (index % 2 ? kv : second).takeToken("bucket", rule));
      const verdicts = await Promise.all(asked);
      expect(verdicts.filter((verdict) => verdict.allowed)).toHaveLength(5);
      const refused = verdicts.find((verdict) => !verdict.allowed);
      expect(refused).toMatchObject({ allowed: false });
      if (refused && !refused.allowed) {
        expect(refused.retryAfterMs).toBeGreaterThan(10_000);
        expect(refused.retryAfterMs).toBeLessThanOrEqual(12_000);
      }
    });

    test("a bucket fills again with time", async () => {
      const rule = { max: 2, perMs: 200 };
      await kv.takeToken("filling", rule);
      await kv.takeToken("filling", rule);
      expect((await kv.takeToken("filling", rule)).allowed).toBe(false);
      await until(async () => (await kv.takeToken("filling", rule)).allowed);
    });

    test("two namespaces share a server without seeing each other", async () => {
      const other = openKv(url, { namespace: `${namespace}-other` });
      await kv.set("same", "ours", minute);
      expect(await other.get("same")).toBeNull();
      await other.close();
    });

    test("it answers a ping while open, and fails with a clear error once closed", async () => {
      const brief = openKv(url, { namespace });
      await brief.ping();
      expect(brief.state).toBe("ready");
      await brief.close();
      await brief.close();
      expect(brief.state).toBe("closed");
      expect(brief.get("a")).rejects.toMatchObject({ code: "store_unavailable" });
    });
  });
}

test("a URL no driver knows is a configuration error that shows no password", () => {
  expect(() => openKv("memcached://user:hunter2@host", { namespace: "n" })).toThrow(/expected redis:.*/);
  expect(() => openKv("memcached://user:hunter2@host", { namespace: "n" })).not.toThrow(/hunter2/);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}
