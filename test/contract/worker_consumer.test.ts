/** One queue in a worker, on the real drivers, with a store that goes away at the worst moment. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { job, jobTable } from "../../src/runtime/jobs.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer } from "../../src/store/queue/queue.ts";
import { QueueConsumer } from "../../worker/consumer.ts";
import { LeaseTable } from "../../worker/lease_table.ts";
import { Slots } from "../../worker/slots.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(30_000);

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`a worker's queue on ${driver}`, () => {
    /** A queue of its own with jobs in it, and a worker of one slot; `source` may stand between the two. */
    async function worker(
      handler: () => unknown,
      jobs: number,
      between: (source: Consumer) => Consumer = (same) => same,
    ) {
      const queue = openQueue(await urlOf(), { namespace: freshNamespace() });
      await queue.enqueue(
        "default",
        Array.from({ length: jobs }, () => ({ name: "j", payload: "null" })),
      );
      const consumer = new QueueConsumer({
        source: between(queue.consumer("default", "ours")),
        queue: "default",
        definitions: jobTable([job<null>("j", handler)], "test"),
        slots: new Slots(1),
        prefetchMax: 2,
        heartbeat: { table: new LeaseTable(100), up: true, stoodStill: () => false },
        index: 0,
      });
      return { queue, consumer };
    }

    test("a job that finished while the store was away for longer than its lease is recorded, and not run again", async () => {
      let runs = 0;
      let away = true;
      const { queue, consumer } = await worker(
        () => void runs++,
        1,
        (source) => ({
          take: (...asked) => source.take(...asked),
          begin: (beginnings) => source.begin(beginnings),
          handBack: (tokens) => source.handBack(tokens),
          renew: (leases) => source.renew(leases),
          reclaim: (...asked) => source.reclaim(...asked),
          held: (max) => source.held(max),
          promote: (max) => source.promote(max),
          orders: () => source.orders(),
          report: (progress) => source.report(progress),
          prune: () => source.prune(),
          close: () => source.close(),
          settle: (settlements) => (away ? Promise.reject(new Error("away")) : source.settle(settlements)),
        }),
      );
      const draining = new AbortController();
      const running = consumer.run(draining.signal);
      await eventually(() => runs === 1);
      // The store is back for reclaiming first, and the lease has run out.
      consumer.accept(await eventually(() => reclaimed(consumer.source)));
      away = false;
      await eventually(async () => (await queue.stats("default")).running === 0);
      draining.abort();
      await running;
      await consumer.drain(1_000, 1_000);
      expect(runs).toBe(1);
      expect(await queue.stats("default")).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
      await queue.close();
    });

    test("a worker whose slots are taken for long takes over a bounded number of another's jobs", async () => {
      const done = Promise.withResolvers<void>();
      const { queue, consumer } = await worker(() => done.promise, 10);
      const theirs = queue.consumer("default", "theirs");
      await theirs.take(10, 1_000, new AbortController().signal);
      await Bun.sleep(5);
      for (let round = 0; round < 10 && consumer.reclaimRoom > 0; round++) {
        consumer.accept(await consumer.source.reclaim(consumer.reclaimRoom, 1));
      }
      expect(consumer.held).toBe(3);
      done.resolve();
      await consumer.drain(1_000, 1_000);
      await queue.close();
    });
  });
}

async function reclaimed(source: Consumer) {
  const leases = await source.reclaim(1, 1);
  return leases.length > 0 ? leases : undefined;
}
