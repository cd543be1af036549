// The queue's drivers for scenarios that run on both, one form of each, and what most suites do with a queue. Suites of the queue itself run
// on every form (stores.ts).

import { afterAll, beforeAll, beforeEach } from "bun:test";

import type { QueueLimits } from "../../src/store/queue/limits.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, Lease, Queue } from "../../src/store/queue/queue.ts";
import { freshNamespace } from "./redis.ts";
import { storeForms } from "./stores.ts";

/** Driver → the URL of its store. */
export const queueDrivers: { readonly [driver: string]: () => Promise<string> } = {
  redis: storeForms["redis"]!,
  sqlite: storeForms["sqlite"]!,
};

const never = new AbortController().signal;

/** A queue that nobody used before, and two workers of it. */
export interface FreshQueue {
  readonly queue: Queue;
  readonly name: string;
  readonly ours: Consumer;
  readonly theirs: Consumer;
}

/** For a suite: one store, and in it for each test a queue of its own, of which `use` is told. */
export function queueForEachTest(
  urlOf: () => Promise<string>,
  limits: Partial<QueueLimits>,
  use: (fresh: FreshQueue) => void,
): void {
  let queue: Queue;
  let tests = 0;
  beforeAll(async () => {
    queue = openQueue(await urlOf(), { namespace: freshNamespace(), ...limits });
  });
  beforeEach(() => {
    const name = `q${++tests}`;
    use({ queue, name, ours: queue.consumer(name, "ours"), theirs: queue.consumer(name, "theirs") });
  });
  afterAll(() => queue.close());
}

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
