/** What a worker does with jobs it holds when an operator's order reaches it, on every form of store. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { job, jobTable } from "../../src/runtime/jobs.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import { QueueConsumer } from "../../worker/consumer.ts";
import { LeaseTable } from "../../worker/lease_table.ts";
import { tidy } from "../../worker/orders.ts";
import { Slots } from "../../worker/slots.ts";
import { eventually } from "../harness/eventually.ts";
import { reclaimOne, takeNow } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`orders on ${driver}`, () => {
    /** A worker of one slot, and so many jobs in its queue; each runs until it is told to stop or `free` is called. */
    async function beginning(jobs: number) {
      const begun: string[] = [];
      const free = Promise.withResolvers<void>();
      const handler = async (_: null, { id, signal }: { readonly id: string; readonly signal: AbortSignal }) => {
        begun.push(id);
        const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        await Promise.race([free.promise, stopped]);
        signal.throwIfAborted();
      };
      const queue = openQueue(await urlOf(), { namespace: freshNamespace() });
      const ids = await queue.enqueue(
        "default",
        Array.from({ length: jobs }, () => ({ name: "j", payload: "null" })),
      );
      const source = queue.consumer("default", "ours");
      const consumer = new QueueConsumer({
        source,
        queue: "default",
        definitions: jobTable([job<null>("j", handler)], "test"),
        slots: new Slots(1),
        prefetchMax: 10,
        heartbeat: { table: new LeaseTable(100), up: true, stoodStill: () => false },
        index: 0,
      });
      const end = async () => {
        free.resolve();
        await consumer.drain(1_000, 1_000);
        await queue.close();
      };
      return { queue, source, consumer, ids, begun, free, end };
    }

    /** It holds them, and the first runs. */
    async function holding(jobs: number) {
      const all = await beginning(jobs);
      all.consumer.accept(await all.source.take(jobs, 1_000, new AbortController().signal));
      await eventually(() => all.begun.length === 1);
      return all;
    }

    test("a job held and not begun is cancelled without beginning, one that runs is told, others go on", async () => {
      const { queue, source, consumer, ids, begun, free, end } = await holding(4);
      for (const id of [ids[0]!, ids[2]!]) expect(await queue.inspector.cancel(id)).toBe("cancelling");
      consumer.obey(await source.orders());
      free.resolve();
      await eventually(async () => (await queue.inspector.overview("default")).done === 4);
      const { counts } = await queue.inspector.overview("default");
      expect(counts).toMatchObject({ cancelled: 2, completed: 2 });
      expect(begun).toEqual([ids[0]!, ids[1]!, ids[3]!]);
      await end();
    });

    test("a job whose worker died does not begin where it is cancelled while its start is being recorded", async () => {
      const { queue, source, consumer, ids, begun, end } = await beginning(1);
      const theirs = queue.consumer("default", "theirs");
      await theirs.begin((await takeNow(theirs)).map((lease) => ({ lease, alone: false })));
      const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const begin = source.begin.bind(source);
      source.begin = async (beginnings) => {
        asked.resolve();
        await answered.promise;
        return begin(beginnings);
      };
      consumer.accept([await reclaimOne(source, 0)]);
      await asked.promise;
      expect(await queue.inspector.cancel(ids[0]!)).toBe("cancelling");
      consumer.obey(await source.orders());
      answered.resolve();
      await eventually(async () => (await queue.inspector.overview("default")).counts.cancelled === 1);
      expect(begun).toEqual([]);
      await end();
    });

    test("when a queue is paused what was not begun goes back, untouched, and what arrives late too", async () => {
      const { queue, source, consumer, ids, begun, free, end } = await holding(3);
      await queue.inspector.pause("default");
      consumer.obey(await source.orders());
      expect(consumer.room).toBe(0);
      await eventually(async () => (await queue.stats("default")).waiting === 2);
      // A take was under way.
      consumer.accept(await source.take(1, 1_000, new AbortController().signal));
      await eventually(async () => (await queue.stats("default")).waiting === 2);
      expect(begun).toEqual([ids[0]!]);
      await queue.inspector.resume("default");
      consumer.obey(await source.orders());
      free.resolve();
      await eventually(() => consumer.room > 0);
      const back = await takeNow(queue.consumer("default", "theirs"));
      expect(new Set(back.map(({ id }) => id))).toEqual(new Set([ids[1]!, ids[2]!]));
      expect(back.every(({ attempts, starts }) => attempts === 0 && starts === 0)).toBe(true);
      await end();
    });

    test("an order for a job that went back before anybody heard is carried out all the same", async () => {
      const { queue, source, consumer, ids, end } = await holding(1);
      const lease = (await source.held(10))[0]!;
      await queue.inspector.cancel(ids[0]!);
      await source.settle([{ to: "retryable", lease, attempts: 1, delayMs: 3_600_000, reason: "no luck" }]);
      const stop = new AbortController();
      const tidying = tidy(consumer, queue.inspector, stop.signal);
      await eventually(async () => (await queue.inspector.find(ids[0]!))?.place === "done");
      expect((await source.orders()).cancelled).toEqual([]);
      stop.abort();
      await tidying;
      await end();
    });
  });
}
