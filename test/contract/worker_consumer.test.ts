/** One queue in a worker, on the real drivers, with a store that goes away at the worst moment. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { job, jobTable } from "../../src/runtime/jobs.ts";
import { detailsOf, type JobDetails } from "../../src/store/queue/inspect.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, Queue } from "../../src/store/queue/queue.ts";
import { QueueConsumer } from "../../worker/consumer.ts";
import { LeaseTable } from "../../worker/lease_table.ts";
import { Slots } from "../../worker/slots.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(30_000);

const never = new AbortController().signal;
type Handler = Parameters<typeof job<null>>[1];

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`a worker's queue on ${driver}`, () => {
    /** A queue of its own with jobs in it, and a worker of one slot; `wrapped` may stand between the two. */
    async function worker(handler: Handler, jobs: number, wrapped: (source: Consumer) => Consumer = (same) => same) {
      const queue = openQueue(await urlOf(), { namespace: freshNamespace() });
      await queue.enqueue(
        "default",
        Array.from({ length: jobs }, () => ({ name: "j", payload: "null" })),
      );
      const consumer = new QueueConsumer({
        source: wrapped(queue.consumer("default", "ours")),
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
        (source) =>
          between(source, {
            settle: (...asked) => (away ? Promise.reject(new Error("away")) : source.settle(...asked)),
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

    /** Has a worker that dies begin the only job, and gives what reclaims it to ours. */
    async function suspected(handler: Handler, wrapped: (source: Consumer) => Consumer) {
      const { queue, consumer } = await worker(handler, 1, wrapped);
      const theirs = queue.consumer("default", "theirs");
      const [begun] = await theirs.take(1, 1_000, never);
      await theirs.begin([{ lease: begun!, alone: false }]);
      consumer.accept(await eventually(() => reclaimed(consumer.source)));
      return { queue, consumer, id: begun!.id };
    }

    test("a start that was recorded without an answer is recorded once, and the job runs", async () => {
      const attempts: number[] = [];
      let asked = 0;
      const { queue, consumer, id } = await suspected(
        (_, { attempt }) => void attempts.push(attempt),
        (source) =>
          between(source, {
            begin: async (...beginnings) => {
              const lost = await source.begin(...beginnings);
              if (++asked < 3) throw new Error("the answer got lost");
              return lost;
            },
          }),
      );
      const done = await completed(queue, id);
      expect([attempts, done.attempts]).toEqual([[2], 2]);
      await consumer.drain(1_000, 1_000);
      await queue.close();
    });

    test("a worker that stops before it knows that a job may begin leaves no start behind", async () => {
      let runs = 0;
      let asked = 0;
      const { queue, consumer } = await suspected(
        () => void runs++,
        (source) =>
          between(source, {
            begin: async (...beginnings) => {
              await source.begin(...beginnings);
              asked++;
              throw new Error("the answer got lost");
            },
          }),
      );
      await eventually(() => asked > 0);
      await consumer.drain(1_000, 1_000);
      const [lease] = await queue.consumer("default", "theirs").take(1, 1_000, never);
      // The death of the first worker counts, and nothing since.
      expect([runs, lease?.attempts, lease?.starts]).toEqual([0, 1, 0]);
      await queue.close();
    });

    test("an outcome of a job that went from our hands into our hands counts one attempt", async () => {
      const done = Promise.withResolvers<void>();
      const { queue, consumer } = await worker(() => done.promise, 1);
      const [lease] = await consumer.source.take(1, 1_000, never);
      consumer.accept([lease!]);
      const again = await eventually(() => reclaimed(consumer.source));
      expect(again).toMatchObject([{ starts: 1, deliveries: 2 }]);
      consumer.accept(again);
      done.resolve();
      expect((await completed(queue, lease!.id)).attempts).toBe(1);
      await consumer.drain(1_000, 1_000);
      await queue.close();
    });

    test("a worker whose slots are taken for long takes over a bounded number of another's jobs", async () => {
      const done = Promise.withResolvers<void>();
      const { queue, consumer } = await worker(() => done.promise, 10);
      const theirs = queue.consumer("default", "theirs");
      await theirs.take(10, 1_000, never);
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

/** A source of which some is answered otherwise. */
function between(source: Consumer, instead: Partial<Consumer>): Consumer {
  return {
    take: (...asked) => source.take(...asked),
    begin: (...asked) => source.begin(...asked),
    settle: (...asked) => source.settle(...asked),
    handBack: (...asked) => source.handBack(...asked),
    renew: (...asked) => source.renew(...asked),
    reclaim: (...asked) => source.reclaim(...asked),
    held: (...asked) => source.held(...asked),
    promote: (...asked) => source.promote(...asked),
    orders: () => source.orders(),
    report: (...asked) => source.report(...asked),
    prune: () => source.prune(),
    close: () => source.close(),
    ...instead,
  };
}

function completed(queue: Queue, id: string): Promise<JobDetails> {
  return eventually(async () => {
    const stored = await queue.inspector.find(id);
    const details = stored && detailsOf(stored);
    return details?.state === "completed" ? details : undefined;
  });
}

async function reclaimed(source: Consumer) {
  const leases = await source.reclaim(1, 1);
  return leases.length > 0 ? leases : undefined;
}
