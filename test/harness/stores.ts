// Where the suites of kv and queue run: Redis in each of its production forms, and a SQLite file. One of each serves a whole test
// process, and every test takes a namespace of its own in it.

import { openKv } from "../../src/store/kv/open.ts";
import { freshNamespace, sharedRedis } from "./redis.ts";
import { sharedRedisCluster } from "./redis_cluster.ts";
import { sharedSentinels } from "./sentinels.ts";
import { temporaryDirectory } from "./temporary.ts";

let directory: string | undefined;

/** Name of the form → the URL of its store. */
export const storeForms: { readonly [form: string]: () => Promise<string> } = {
  redis: async () => (await sharedRedis()).url,
  sentinels: async () => (await sharedSentinels()).url,
  cluster: async () => (await sharedRedisCluster()).url,
  sqlite: () => Promise.resolve(`file:${(directory ??= temporaryDirectory("stores"))}/deep/store.db`),
};

/** The text of the error with which an operation on that store fails. */
export async function refusalBy(url: string): Promise<string> {
  const kv = openKv(url, { namespace: freshNamespace(), operationTimeoutMs: 1_000 });
  try {
    return await kv.get("k").then(String, String);
  } finally {
    await kv.close();
  }
}
