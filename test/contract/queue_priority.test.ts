/** What every Queue driver promises of priorities: each is taken in turn, none starves, and a job keeps its own for all its life. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { decodeEnvelope } from "../../src/store/queue/envelope.ts";
import { priorities, type Priority } from "../../src/store/queue/priorities.ts";
import type { Consumer, Lease, Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { queueForEachTest, reclaimOne, takeAll, takeNow } from "../harness/queues.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const jobs = (priority: Priority, count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: priority, payload: String(index), priority }));

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`priorities on ${driver}`, () => {
    let queue: Queue;
    let name: string;
    let ours: Consumer;
    let theirs: Consumer;
    queueForEachTest(urlOf, { jobsMax: 200 }, (fresh) => ({ queue, name, ours, theirs } = fresh));

    /** A worker hears with its orders that a priority is in use. */
    const enqueue = async (...lists: (readonly ReturnType<typeof jobs>[number][])[]) => {
      const ids: string[] = [];
      for (const list of lists) ids.push(...(await queue.enqueue(name, list)));
      await Promise.all([ours.orders(), theirs.orders()]);
      return ids;
    };
    const countOf = (leases: readonly Lease[]) =>
      Object.fromEntries(priorities.map((one) => [one, leases.filter((lease) => lease.name === one).length]));

    test("while some of each wait, six of ten are high, three normal, one is low; in any size of batch, each in its order", async () => {
      await enqueue(jobs("low", 60), jobs("normal", 60), jobs("high", 60));
      for (const size of [1, 3, 7, 10, 19]) {
        const taken: Lease[] = [];
        for (let left = 20; left > 0; left = 20 - taken.length)
          taken.push(...(await takeAll(ours, Math.min(size, left))));
        expect(countOf(taken)).toEqual({ high: 12, normal: 6, low: 2 });
        for (const one of priorities) {
          const order = taken.filter((lease) => lease.name === one).map((lease) => Number(lease.payload));
          expect(order).toEqual(order.toSorted((a, b) => a - b));
        }
        if (size === 7) break;
      }
    });

    test("what a priority does not need goes to the others, at once", async () => {
      await enqueue(jobs("low", 5), jobs("high", 2));
      expect(countOf(await takeNow(ours, 10))).toEqual({ high: 2, normal: 0, low: 5 });
    });

    test("no more are taken than were asked for", async () => {
      await enqueue(jobs("low", 9), jobs("normal", 9), jobs("high", 9));
      for (const max of [1, 2, 5]) expect(await takeNow(ours, max)).toHaveLength(max);
    });

    test("a take that waits sees the first job of a priority nobody used before", async () => {
      const waiting = ours.take(1, 4_000, new AbortController().signal);
      const [id] = await queue.enqueue(name, jobs("high", 1));
      await ours.orders();
      const taken = [...(await waiting), ...(await takeNow(ours))];
      expect(taken.map((lease) => lease.id)).toEqual([id!]);
    });

    test("jobs of all priorities have ids of their own, and are settled together", async () => {
      const ids = await enqueue(jobs("high", 20), jobs("normal", 20), jobs("low", 20));
      expect(new Set(ids).size).toBe(60);
      const leases = await takeAll(ours, 60);
      expect(new Set(leases.map((lease) => lease.id))).toEqual(new Set(ids));
      expect(await ours.begin(leases.map((lease) => ({ lease, alone: false })))).toEqual([]);
      expect(await ours.renew(leases)).toEqual([]);
      expect(await ours.settle(leases.map((lease) => ({ to: "completed", lease })))).toEqual([]);
      expect(await ours.settle(leases.map((lease) => ({ to: "completed", lease })))).toHaveLength(60);
      expect(await queue.stats(name)).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
    });

    test("a job keeps its priority and its id through retries, snoozes, hand-backs and other hands", async () => {
      const [id] = await enqueue(jobs("high", 1), jobs("low", 1));
      const high = async (from: Consumer) => (await takeAll(from, 2)).find((lease) => lease.name === "high")!;
      const back = async (leases: readonly Lease[]) => ours.handBack(leases);
      await back(await takeAll(ours, 2));
      let lease = await high(ours);
      await ours.settle([{ to: "available", lease, attempts: 0 }]);
      [lease] = (await takeAll(theirs, 1)) as [Lease];
      await theirs.settle([{ to: "retryable", lease, attempts: 1, delayMs: 1, reason: "no" }]);
      await eventually(async () => (await ours.promote(10)) === undefined, { what: "the retry is due" });
      [lease] = (await takeAll(theirs, 1)) as [Lease];
      expect(lease).toMatchObject({ id, attempts: 1, name: "high" });
      const held = await ours.held(10);
      expect(held.map((one) => one.name)).toEqual(["low"]);
      await ours.settle(held.map((one) => ({ to: "completed", lease: one })));
      lease = await reclaimOne(ours, 1);
      expect(lease).toMatchObject({ id, deliveries: 2, attempts: 1 });
      expect(decodeEnvelope(lease.envelope).priority).toBe("high");
      expect(await queue.inspector.overview(name)).toMatchObject({ running: 1, waiting: 0 });
      await ours.settle([{ to: "completed", lease }]);
      expect(decodeEnvelope((await queue.inspector.find(id!))!.envelope)).toMatchObject({
        priority: "high",
        ended: { to: "completed" },
      });
    });

    test("operators see how many wait of each, list all of them page by page, and steer them by their ids", async () => {
      const ids = await enqueue(jobs("low", 3), jobs("normal", 3), jobs("high", 3));
      const { inspector } = queue;
      expect(await inspector.overview(name)).toMatchObject({ waiting: 9, waitingBy: { high: 3, normal: 3, low: 3 } });
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await inspector.page(name, "waiting", cursor, 2);
        seen.push(...page.jobs.map(({ entry }) => `${name}:${entry}`));
        cursor = page.next;
      } while (cursor !== undefined);
      expect(seen.toSorted()).toEqual(ids.toSorted());
      for (const id of ids) expect(await inspector.find(id)).toMatchObject({ place: "waiting" });
      expect(await inspector.cancel(ids[8]!)).toBe("cancelled");
      expect(await inspector.retry(name, [ids[8]!])).toEqual(["retried"]);
      expect(await inspector.overview(name)).toMatchObject({ waiting: 9, waitingBy: { high: 3, normal: 3, low: 3 } });
      const [running] = await takeAll(ours, 1);
      expect(running!.name).toBe("high");
      expect(await inspector.find(running!.id)).toMatchObject({ place: "running", owner: "ours" });
      expect(await inspector.cancel(running!.id)).toBe("cancelling");
    });

    test("the limit of a queue counts all of them", async () => {
      await enqueue(jobs("low", 100), jobs("high", 99));
      expect(queue.enqueue(name, jobs("normal", 2))).rejects.toMatchObject({ code: "queue_full" });
      await queue.enqueue(name, jobs("normal", 1));
    });

    test("what is brought under ids of its own, delayed or not, has its priority", async () => {
      await queue.enqueueOnce(name, [
        { id: "now", name: "high", payload: "1", priority: "high" },
        { id: "soon", name: "high", payload: "2", priority: "high", delayMs: 1 },
        { id: "plain", name: "normal", payload: "3" },
      ]);
      await eventually(async () => (await ours.promote(10)) === undefined, { what: "the delayed one is due" });
      await ours.orders();
      expect(await queue.inspector.overview(name)).toMatchObject({ waitingBy: { high: 2, normal: 1, low: 0 } });
      expect((await takeAll(ours, 3)).map((lease) => lease.id)).toContain(`${name}:soon`);
    });
  });
}
