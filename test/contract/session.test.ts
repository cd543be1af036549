/** Sessions as an application has them, on every form of key-value store. Devices are session_devices.test.ts. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  setSystemTime,
  spyOn,
  test,
} from "bun:test";

import type { Config } from "../../src/config/options.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { session } from "../../src/runtime/session.ts";
import { formatId, makeId } from "../../src/runtime/session_id.ts";
import { keyOf } from "../../src/runtime/session_record.ts";
import { graceMilliseconds } from "../../src/runtime/session_rotation.ts";
import type { SessionState } from "../../src/runtime/session_state.ts";
import type { Kv } from "../../src/store/kv/kv.ts";
import { freshNamespace } from "../harness/redis.ts";
import { asRequest, Browser, cookieOf, handleOf, withOtherSecret } from "../harness/requests.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

async function signIn(state: SessionState): Promise<string> {
  await session.login("42");
  return cookieOf(state);
}

const later = (milliseconds: number) => setSystemTime(Date.now() + milliseconds);
afterEach(() => void setSystemTime());

for (const [form, urlOf] of Object.entries(storeForms)) {
  describe(`on ${form}`, () => {
    let kv: Kv;
    beforeAll(async () => {
      kv = openStores({ redisUrl: await urlOf(), namespace: freshNamespace() } as Config).kv!;
    });
    afterAll(closeStores);
    const stored = async (cookie: string) => (await kv.hashGetAll(keyOf(handleOf(cookie))))!;

    test("a request that sets nothing stores nothing and sends no cookie", async () => {
      await asRequest(undefined, async (state) => {
        expect(await session.get("cart")).toBeUndefined();
        expect(await session.user()).toBeNull();
        await session.delete("cart");
        expect(state.cookie).toBeUndefined();
      });
    });

    test("what one request sets the next one reads", async () => {
      const id = await asRequest(undefined, async (state) => {
        await session.set("cart", ["book", 2]);
        return cookieOf(state);
      });
      await asRequest(id, async (state) => {
        expect(await session.get("cart")).toEqual(["book", 2]);
        await session.delete("cart");
        expect(await session.get("cart")).toBeUndefined();
        expect(state.cookie).toBeUndefined();
      });
    });

    test("two requests at a time keep each other's fields", async () => {
      const id = await asRequest(undefined, async (state) => {
        await session.set("first", 0);
        return cookieOf(state);
      });
      await Promise.all(Array.from({ length: 20 }, (_, n) => asRequest(id, () => session.set(`field${n}`, n))));
      await asRequest(id, async () => {
        for (let n = 0; n < 20; n++) expect(await session.get<number>(`field${n}`)).toBe(n);
      });
    });

    test("two fields set at a time by a request without a session begin one session", async () => {
      const id = await asRequest(undefined, async (state) => {
        await Promise.all([session.set("a", 1), session.set("b", 2)]);
        return cookieOf(state);
      });
      await asRequest(id, async () =>
        expect([await session.get<number>("a"), await session.get<number>("b")]).toEqual([1, 2]),
      );
    });

    test("another user who signs in on the same browser does not get what the first one had", async () => {
      const first = await asRequest(undefined, async (state) => {
        await session.login("1");
        await session.set("draft", "private");
        return cookieOf(state);
      });
      const second = await asRequest(first, async (state) => {
        await session.login("2");
        return cookieOf(state);
      });
      await asRequest(second, async () => expect(await session.get("draft")).toBeUndefined());
      await asRequest(first, async () => expect(await session.user()).toBeNull());
    });

    test("a session in use slides on: each quarter of a short idle time it has all of it again, up to the end of its life", async () => {
      const short = { rules: { idle: 40_000, lifetime: 90_000 } };
      later(0); // from here on time passes only where it is said
      const id = await asRequest(undefined, signIn, short);
      const writing = spyOn(kv, "hashWrite");
      const use = async () => {
        writing.mockClear();
        const user = await asRequest(id, () => session.user(), short);
        const written = writing.mock.calls.filter(([key]) => key === keyOf(handleOf(id)));
        return [user, ...written.map(([, , timeToLive]) => timeToLive)];
      };
      try {
        for (const left of [40_000, 40_000, 40_000, 40_000, 40_000, 30_000, 20_000, 10_000]) {
          later(9_999);
          expect(await use()).toEqual(["42"]);
          later(1);
          expect(await use()).toEqual(["42", left]);
        }
        later(10_000);
        expect(await use()).toEqual([null]);
      } finally {
        writing.mockRestore();
      }
    });

    test("another site's page may not begin a session", async () => {
      const foreign = { caller: { isForeign: true } };
      const state = await asRequest(undefined, (one) => Promise.resolve(one), foreign);
      await expect(state.login("1")).rejects.toMatchObject({ status: 403 });
      await expect(state.set("a", 1)).rejects.toMatchObject({ status: 403 });
      await expect(state.csrf()).rejects.toMatchObject({ status: 403 });
      expect(state.cookie).toBeUndefined();
    });

    test("login gives a new id that keeps the fields, and the old id dies at once", async () => {
      const before = await asRequest(undefined, async (state) => {
        await session.set("cart", "book");
        return cookieOf(state);
      });
      const after = await asRequest(before, async (state) => {
        await session.login("42");
        return cookieOf(state);
      });
      expect(after).not.toBe(before);
      await asRequest(after, async () => {
        expect(await session.user()).toBe("42");
        expect(await session.get<string>("cart")).toBe("book");
      });
      await asRequest(before, async () => {
        expect(await session.user()).toBeNull();
        expect(await session.get("cart")).toBeUndefined();
      });
    });

    test("after logout the id is worth nothing, not even to a request already under way", async () => {
      const id = await asRequest(undefined, async (state) => {
        await session.login("42");
        return cookieOf(state);
      });
      await asRequest(id, async (slow) => {
        expect(await session.user()).toBe("42");
        await asRequest(id, async (state) => {
          await session.logout();
          expect(state.cookie).toBeNull();
        });
        await expect(session.set("late", 1)).rejects.toMatchObject({ status: 409 });
        expect(slow.cookie).toBeUndefined();
      });
      await asRequest(id, async () => expect(await session.user()).toBeNull());
    });

    test("an id nobody was given opens nothing", async () => {
      await asRequest(formatId(makeId()), async () => expect(await session.user()).toBeNull());
      const id = await asRequest(undefined, signIn);
      await asRequest(withOtherSecret(id), async (state) => {
        expect(await session.user()).toBeNull();
        await session.logout();
        expect(state.cookie).toBeNull();
      });
      expect(await asRequest(id, () => session.user())).toBe("42");
    });

    test("a session ends when it is idle too long, and when it is too old however busy", async () => {
      const idle = await asRequest(undefined, signIn, { rules: { idle: 30 } });
      const short = { rules: { lifetime: 30 } };
      const old = await asRequest(undefined, signIn, short);
      const gone = (id: string) => asRequest(id, () => session.user(), short);
      const deadline = Date.now() + 5_000;
      while ((await asRequest(idle, () => session.user())) !== null || (await gone(old)) !== null) {
        if (Date.now() > deadline) throw new Error("the sessions did not end");
        await Bun.sleep(5);
      }
    });

    test("the store knows neither the id nor what would open it", async () => {
      const id = await asRequest(undefined, signIn);
      const [, secret] = id.split(".");
      const fields = await stored(id);
      expect(JSON.stringify(fields)).not.toContain(secret);
      expect(await asRequest(`${handleOf(id)}.${fields["k"]}`, () => session.user())).toBeNull();
    });

    test("what a busy session costs the store is one write a minute, however many use it at a time", async () => {
      const hours = { rules: { idle: 3_600_000, lifetime: 3_600_000 } };
      const id = await asRequest(
        undefined,
        async (state) => (await session.set("cart", "book"), cookieOf(state)),
        hours,
      );
      const writing = spyOn(kv, "hashWrite");
      const writesOf = async (requests: number) => {
        writing.mockClear();
        await Promise.all(Array.from({ length: requests }, () => asRequest(id, () => session.get("cart"), hours)));
        const written = await Promise.all(writing.mock.results.map(({ value }) => value as Promise<boolean>));
        return written.filter(Boolean).length;
      };
      try {
        later(59_000);
        expect(await writesOf(20)).toBe(0);
        later(1_100);
        expect(await writesOf(20)).toBe(1);
        expect(await writesOf(20)).toBe(0);
      } finally {
        writing.mockRestore();
      }
    });

    test("an id that is old is replaced, for all who come with it at a time by the same one, and signs nobody out", async () => {
      const due = { rules: { rotation: 0 } };
      const before = await asRequest(undefined, signIn);
      await asRequest(before, () => session.set("cart", "book"));
      const ask = (cookie: string) =>
        asRequest(cookie, async (state) => [await session.user(), await session.get("cart"), state.cookie], due);
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(before)));
      const given = [...new Set(answers.map(([, , cookie]) => cookie))];
      expect(given).toHaveLength(1);
      expect(given[0]).not.toBe(before);
      for (const [user, cart] of answers) expect([user, cart]).toEqual(["42", "book"]);
      expect(await ask(given[0] as string)).toEqual(["42", "book", undefined]);
    });

    test("the id before counts 10 seconds from when the new one came back, then it is worth nothing", async () => {
      const due = { rules: { rotation: 0 } };
      const before = await asRequest(undefined, signIn);
      const user = (cookie: string) => asRequest(cookie, () => session.user(), due);
      const after = await asRequest(before, async (state) => (await session.user(), cookieOf(state)), due);
      expect(await user(after)).toBe("42");
      later(graceMilliseconds - 1_000);
      expect(await user(before)).toBe("42");
      later(1_100);
      expect(await user(before)).toBeNull();
      expect(await user(after)).toBe("42");
    });

    test("a client whose new id was lost on the way is given the same one again, however late", async () => {
      const due = { rules: { rotation: 0 } };
      const before = await asRequest(undefined, signIn);
      const renewed = async (state: SessionState) => (await session.user(), cookieOf(state));
      const lost = await asRequest(before, renewed, due);
      later(5 * graceMilliseconds);
      expect(await asRequest(before, renewed, due)).toBe(lost);
      expect(await asRequest(lost, () => session.user(), due)).toBe("42");
    });

    test("what is set with the id before is there with the new one, and two sets with both keep each other's", async () => {
      const due = { rules: { rotation: 0 } };
      const before = await asRequest(undefined, signIn);
      const after = await asRequest(before, async (state) => (await session.user(), cookieOf(state)), due);
      await Promise.all([
        asRequest(before, () => session.set("a", 1), due),
        asRequest(after, () => session.set("b", 2), due),
      ]);
      await asRequest(after, async () => expect([await session.get("a"), await session.get("b")]).toEqual([1, 2]), due);
    });

    test("a browser that sends many requests at a time, with an id that changes all the time, is never signed out", async () => {
      const browser = new Browser({ rules: { rotation: 0 } });
      await browser.ask(signIn);
      const ids = new Set<string>();
      for (let round = 0; round < 20; round++) {
        const asked = Array.from({ length: 8 }, () => browser.ask(() => session.user()));
        expect(new Set(await Promise.all(asked))).toEqual(new Set(["42"]));
        ids.add(browser.cookie!);
        later(graceMilliseconds / 2);
      }
      expect(ids.size).toBeGreaterThan(5);
    });

    test("renew() replaces the id and nothing else: the one before dies at once, also where it was still being replaced", async () => {
      const due = { rules: { rotation: 0 } };
      const first = await asRequest(undefined, signIn);
      await asRequest(first, () => session.set("cart", "book"));
      const second = await asRequest(first, async (state) => (await session.user(), cookieOf(state)), due);
      const third = await asRequest(first, async (state) => (await session.renew(), cookieOf(state)));
      for (const dead of [first, second]) expect(await asRequest(dead, () => session.user())).toBeNull();
      await asRequest(third, async () => {
        expect([await session.user(), await session.get("cart")]).toEqual(["42", "book"]);
      });
      await asRequest(undefined, async (state) => {
        await session.renew();
        expect(state.cookie).toBeUndefined();
      });
    });

    test("the same user who signs in again has a new id, and a request under way with the old one can change nothing", async () => {
      const before = await asRequest(undefined, signIn);
      await asRequest(before, async (slow) => {
        expect(await session.user()).toBe("42");
        const after = await asRequest(before, signIn);
        await expect(session.set("late", 1)).rejects.toMatchObject({ status: 409, details: { code: "session_ended" } });
        await expect(session.renew()).resolves.toBeUndefined();
        expect(slow.cookie).toBeUndefined();
        await asRequest(after, async () => {
          expect([await session.user(), await session.get("late")]).toEqual(["42", undefined]);
        });
      });
      expect(await asRequest(before, () => session.user())).toBeNull();
    });

    test("a token of a session counts in it until the next login or renew(), and in no other", async () => {
      const browser = new Browser();
      const token = await browser.ask(() => session.csrf());
      const another = await browser.ask(() => session.csrf());
      expect(another).not.toBe(token);
      const check = (one: Browser, given: string | null) => one.ask(() => session.checkCsrf(given));
      await check(browser, token);
      await check(browser, another);
      const stranger = new Browser();
      await stranger.ask(() => session.csrf());
      const refused = { status: 403, details: { code: "csrf_token" } };
      for (const given of [null, "", "x", token.slice(0, -1), await stranger.ask(() => session.csrf())])
        await expect(check(browser, given)).rejects.toMatchObject(refused);
      await expect(check(new Browser(), token)).rejects.toMatchObject(refused);
      await browser.ask(() => session.login("42"));
      await expect(check(browser, token)).rejects.toMatchObject(refused);
      const signedIn = await browser.ask(() => session.csrf());
      await new Browser({ rules: { rotation: 0 } }, browser.cookie).ask(() => session.checkCsrf(signedIn));
      await browser.ask(() => session.renew());
      await expect(check(browser, signedIn)).rejects.toMatchObject(refused);
    });
  });
}
