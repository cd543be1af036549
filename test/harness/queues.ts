// The queue's drivers for suites that run on both: the shared Redis, and a SQLite file that is gone with the test process.
// Also what most of those suites do with a queue.

import type { Consumer, Lease } from "../../src/store/queue/queue.ts";
import { sharedRedis } from "./redis.ts";
import { temporaryDirectory } from "./temporary.ts";

let directory: string | undefined;

/** Driver → the URL of its store. Every test takes a namespace of its own in it. */
export const queueDrivers: { readonly [driver: string]: () => Promise<string> } = {
  redis: async () => (await sharedRedis()).url,
  sqlite: () => Promise.resolve(`file:${(directory ??= temporaryDirectory("queue"))}/queue.db`),
};

const never = new AbortController().signal;

/** Takes until it has so many; they must come. */
export async function takeAll(consumer: Consumer, count: number): Promise<Lease[]> {
  const taken: Lease[] = [];
  while (taken.length < count) taken.push(...(await consumer.take(count - taken.length, 1_000, never)));
  return taken;
}

/** What can be taken now. */
export function takeNow(consumer: Consumer, max = 100): Promise<readonly Lease[]> {
  return consumer.take(max, 1, never);
}

/** Takes over a job nobody renews. */
export async function reclaimOne(consumer: Consumer, leaseMs: number): Promise<Lease> {
  for (;;) {
    const [lease] = await consumer.reclaim(10, leaseMs);
    if (lease) return lease;
    await Bun.sleep(2);
  }
}
