/**
 * What an application keeps in Redis, in this process, while its servers die: sessions and cached values, many, so that some are on
 * each of a Cluster's primaries. Who kills what is the test's.
 */
import type { Config } from "../../src/config/options.ts";
import { cache } from "../../src/runtime/cache.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { session } from "../../src/runtime/session.ts";
import { eventually } from "./eventually.ts";
import { freshNamespace } from "./redis.ts";
import { Browser } from "./requests.ts";

export interface KeptApplication {
  /** For whom visitors are taken who are no longer known, once each has an answer. */
  strangers(): Promise<readonly unknown[]>;
  /** Resolves once every value comes from the cache, as it was put there. */
  untilCached(): Promise<void>;
  /** What requests were told in the meantime that none may be told. */
  lies(): readonly string[];
  close(): Promise<void>;
}

const visitors = 20;
const options = { ttl: "1h" };

/** Signs visitors in, caches values, and goes on asking for both until it is closed. */
export async function startApplication(redisUrl: string): Promise<KeptApplication> {
  openStores({ redisUrl, namespace: freshNamespace(), cacheTimeout: 1_000 } as Config);
  const browsers = Array.from({ length: visitors }, () => new Browser());
  const sayWhoYouAre = (browser: Browser) => browser.ask(() => session.user());
  for (const [index, browser] of browsers.entries()) {
    await browser.ask(() => session.login(String(index)));
    await cache.set(`kept ${index}`, "cached", options);
  }
  const lookUp = (index: number) => cache.get(`kept ${index}`, options, () => "loaded");
  const lies: string[] = [];
  let closed = false;
  const asking = (async () => {
    for (let turn = 0; !closed; turn++) {
      const index = turn % visitors;
      // Without its store a request fails, or loads: it is never taken for a stranger's.
      const user = await sayWhoYouAre(browsers[index]!).catch(() => String(index));
      if (user !== String(index)) lies.push(`visitor ${index} was taken for ${user}`);
      const value = await lookUp(index).catch(String);
      if (value !== "cached" && value !== "loaded") lies.push(`cache.get() answered ${value}`);
      await Bun.sleep(5);
    }
  })();
  return {
    strangers: async () => {
      const users = await Promise.all(browsers.map((browser) => eventually(async () => [await sayWhoYouAre(browser)])));
      return users.flat().filter((user, index) => user !== String(index));
    },
    untilCached: async () => {
      for (let index = 0; index < visitors; index++) await eventually(async () => (await lookUp(index)) === "cached");
    },
    lies: () => lies,
    close: async () => {
      closed = true;
      await asking;
      await closeStores();
    },
  };
}
