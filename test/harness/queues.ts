// The queue's drivers for scenarios that run on both, one form of each, and what most suites do with a queue. Suites of the queue itself run
// on every form (stores.ts).

import type { Consumer, Lease } from "../../src/store/queue/queue.ts";
import { storeForms } from "./stores.ts";

/** Driver → the URL of its store. */
export const queueDrivers: { readonly [driver: string]: () => Promise<string> } = {
  redis: storeForms["redis"]!,
  sqlite: storeForms["sqlite"]!,
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
