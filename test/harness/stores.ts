// Where the suites of kv and queue run: Redis in each of its production forms, and a SQLite file. One of each serves a whole test
// process, and every test takes a namespace of its own in it.

import { sharedRedis } from "./redis.ts";
import { sharedSentinels } from "./sentinels.ts";
import { temporaryDirectory } from "./temporary.ts";

let directory: string | undefined;

/** Name of the form → the URL of its store. */
export const storeForms: { readonly [form: string]: () => Promise<string> } = {
  redis: async () => (await sharedRedis()).url,
  sentinels: async () => (await sharedSentinels()).url,
  sqlite: () => Promise.resolve(`file:${(directory ??= temporaryDirectory("stores"))}/deep/store.db`),
};
