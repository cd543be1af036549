/** Where a user is signed in, on every form of key-value store: shown, bounded, ended one by one and together. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, setSystemTime, test } from "bun:test";

import type { Config } from "../../src/config/options.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { session } from "../../src/runtime/session.ts";
import { keyOf } from "../../src/runtime/session_record.ts";
import type { Kv } from "../../src/store/kv/kv.ts";
import { freshNamespace } from "../harness/redis.ts";
import { Browser, type Circumstances, handleOf } from "../harness/requests.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);
afterEach(() => void setSystemTime());

const later = (milliseconds: number) => setSystemTime(Date.now() + milliseconds);
let users = 0;
const freshUser = () => `user ${++users}`;

async function signedIn(user: string, circumstances: Circumstances = {}): Promise<Browser> {
  const browser = new Browser(circumstances);
  await browser.ask(() => session.login(user));
  return browser;
}

const idOf = (browser: Browser) => handleOf(browser.cookie!);
const userOf = (browser: Browser) => browser.ask(() => session.user());
const idsFrom = async (browser: Browser) => (await browser.ask(() => session.devices())).map(({ id }) => id);

for (const [form, urlOf] of Object.entries(storeForms)) {
  describe(`on ${form}`, () => {
    let kv: Kv;
    beforeAll(async () => {
      kv = openStores({ redisUrl: await urlOf(), namespace: freshNamespace() } as Config).kv!;
    });
    afterAll(closeStores);

    test("a user sees each place with when and from where, the last used first, and which one asks", async () => {
      const user = freshUser();
      const start = Date.now();
      const phone = await signedIn(user, { caller: { ip: "2001:db8::1", userAgent: "Phone" } });
      later(1_000);
      const laptop = await signedIn(user, { caller: { ip: "192.0.2.7", userAgent: "L".repeat(500) } });
      await signedIn(freshUser());
      const shown = await laptop.ask(() => session.devices());
      expect(shown).toEqual([
        {
          id: idOf(laptop),
          isCurrent: true,
          ip: "192.0.2.7",
          userAgent: "L".repeat(256),
          begun: expect.any(Date) as Date,
          seen: expect.any(Date) as Date,
        },
        {
          id: idOf(phone),
          isCurrent: false,
          ip: "2001:db8::1",
          userAgent: "Phone",
          begun: expect.any(Date) as Date,
          seen: expect.any(Date) as Date,
        },
      ]);
      expect(shown[1]!.begun.getTime()).toBeGreaterThanOrEqual(start);
      expect(JSON.stringify(shown)).not.toContain(phone.cookie!.split(".")[1]!);
      expect(await session.devices({ user })).toMatchObject([{ isCurrent: false }, { id: idOf(phone) }]);
      expect(await new Browser().ask(() => session.devices())).toEqual([]);
    });

    test("being used moves a place to the front, with its address of now, a minute later at the soonest", async () => {
      const user = freshUser();
      const rules = { idle: 3_600_000, lifetime: 3_600_000 };
      const first = await signedIn(user, { rules });
      later(1_000);
      const second = await signedIn(user, { rules });
      const moved = new Browser({ rules, caller: { ip: "198.51.100.1" } }, first.cookie);
      later(30_000);
      await userOf(moved);
      expect(await idsFrom(second)).toEqual([idOf(second), idOf(first)]);
      later(30_000);
      await userOf(moved);
      expect(await second.ask(() => session.devices())).toMatchObject([
        { id: idOf(first), ip: "198.51.100.1" },
        { id: idOf(second), ip: "127.0.0.1" },
      ]);
    });

    test("a place stays the same one when its id changes", async () => {
      const browser = new Browser({ rules: { rotation: 0 } });
      await browser.ask(() => session.set("cart", "book"));
      const before = browser.cookie;
      await browser.ask(() => session.login(freshUser()));
      const [device] = await browser.ask(() => session.devices());
      await browser.ask(() => session.renew());
      await userOf(browser);
      expect(browser.cookie).not.toBe(before);
      expect(await idsFrom(browser)).toEqual([device!.id]);
    });

    test("one place is signed out by another, or by itself, and only by who is signed in as the same user", async () => {
      const user = freshUser();
      const [here, there] = [await signedIn(user), await signedIn(user)];
      const stranger = await signedIn(freshUser());
      const end = (browser: Browser, id: string) => browser.ask(() => session.logoutDevice(id));
      expect(await end(stranger, idOf(there))).toBe(false);
      expect(await end(new Browser(), idOf(there))).toBe(false);
      expect(await end(here, "no such place")).toBe(false);
      expect(await userOf(there)).toBe(user);
      expect(await end(here, idOf(there))).toBe(true);
      expect([await userOf(there), await userOf(here)]).toEqual([null, user]);
      expect(await idsFrom(here)).toEqual([idOf(here)]);
      expect(await end(here, idOf(there))).toBe(false);
      expect(await end(here, idOf(here))).toBe(true);
      expect(here.cookie).toBeUndefined();
      expect(await session.devices({ user })).toEqual([]);
    });

    test("signing out everywhere else leaves this place, everywhere none, and neither anybody else", async () => {
      const user = freshUser();
      const [here, ...others] = await Promise.all([1, 2, 3, 4].map(() => signedIn(user)));
      const stranger = await signedIn(freshUser());
      await here!.ask(() => session.logoutEverywhere({ keepThis: true }));
      expect(await Promise.all(others.map(userOf))).toEqual([null, null, null]);
      expect(await userOf(here!)).toBe(user);
      const again = await signedIn(user);
      await here!.ask(() => session.logoutEverywhere());
      expect(here!.cookie).toBeUndefined();
      expect(await userOf(again)).toBeNull();
      expect(await userOf(stranger)).toBeString();
      await new Browser().ask(() => session.logoutEverywhere());
    });

    test("whoever runs the service signs a user out everywhere, outside of a request too", async () => {
      const user = freshUser();
      const browsers = await Promise.all([1, 2].map(() => signedIn(user)));
      await session.logoutEverywhere({ user });
      expect(await Promise.all(browsers.map(userOf))).toEqual([null, null]);
      await session.logoutEverywhere({ user: freshUser() });
    });

    test("of a user's sessions the one used the longest ago ends when there are too many", async () => {
      const user = freshUser();
      const rules = { perUserMax: 2 };
      const [first, second] = [await signedIn(user, { rules }), (later(1_000), await signedIn(user, { rules }))];
      later(20_000);
      await userOf(first);
      const third = await signedIn(user, { rules });
      expect([await userOf(first), await userOf(second), await userOf(third)]).toEqual([user, null, user]);
      // Signing in again where one is already is no further session.
      await third.ask(() => session.login(user));
      expect(await userOf(first)).toBe(user);
    });

    test("signing out, another user and the end of a session leave the list without it", async () => {
      const user = freshUser();
      const here = await signedIn(user);
      const [leaves, changes, ends] = [await signedIn(user), await signedIn(user), await signedIn(user)];
      await leaves.ask(() => session.logout());
      await changes.ask(() => session.login(freshUser()));
      await kv.delete([keyOf(idOf(ends))]);
      expect(await idsFrom(here)).toEqual([idOf(here)]);
    });

    test("what is gone leaves the index at the next login, once it would have been idle for too long", async () => {
      const user = freshUser();
      const rules = { idle: 10_000 };
      const gone = await signedIn(user, { rules });
      later(10_001);
      const here = await signedIn(user, { rules });
      const index = await kv.hashGetAll(`sessions-of:${user}`);
      expect(Object.keys(index!).toSorted()).toEqual([`:${idOf(here)}`, "l"]);
      expect(await userOf(gone)).toBeNull();
    });

    test("an index that the store has lost comes back with the sessions that are used", async () => {
      const user = freshUser();
      const browser = await signedIn(user);
      await kv.delete([`sessions-of:${user}`]);
      later(16_000);
      await userOf(browser);
      expect(await idsFrom(browser)).toEqual([idOf(browser)]);
    });
  });
}
