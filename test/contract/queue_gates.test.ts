/** What every Queue driver promises of gates: never more than their places, in order, and no place lost whatever becomes of a job. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Gate } from "../../src/store/queue/gates.ts";
import type { Consumer, Lease, Queue, Settlement } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { queueForEachTest, reclaimOne, takeAll, takeNow } from "../harness/queues.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const order: Gate = { name: "key:a", max: 1, keep: true };
const two: Gate = { name: "job:j", max: 2 };
const jobs = (count: number, gates: readonly Gate[], more = {}) =>
  Array.from({ length: count }, (_, index) => ({ name: "j", payload: String(index), gates, ...more }));
const done = (lease: Lease): Settlement => ({ to: "completed", lease });
const again = (lease: Lease, delayMs = 1): Settlement => {
  return { to: "retryable", lease, attempts: lease.attempts + 1, delayMs, reason: "no" };
};

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`gates on ${driver}`, () => {
    let queue: Queue;
    let name: string;
    let ours: Consumer;
    let theirs: Consumer;
    queueForEachTest(urlOf, { jobsMax: 100 }, (fresh) => ({ queue, name, ours, theirs } = fresh));

    const payloads = (leases: readonly Lease[]) => leases.map((lease) => lease.payload).join(" ");
    const overview = () => queue.inspector.overview(name);
    const promoteAll = () =>
      eventually(async () => (await ours.promote(100)) === undefined, { what: "all delayed are due" });
    const takeOne = async (from = ours) => (await takeAll(from, 1))[0]!;

    test("so many have a place, the next comes in with each outcome, in the order of arrival", async () => {
      await queue.enqueue(name, jobs(5, [two]));
      expect(await overview()).toMatchObject({ waiting: 2, parked: 3 });
      const [first, second] = await takeAll(ours, 2);
      expect(await takeNow(theirs)).toEqual([]);
      expect(payloads([first!, second!])).toBe("0 1");
      await ours.settle([done(second!)]);
      expect(payloads(await takeNow(theirs))).toBe("2");
      await ours.settle([{ to: "discarded", lease: first!, attempts: 1, reason: "no" }]);
      expect(payloads(await takeNow(theirs))).toBe("3");
      const [, , fifth] = [...(await theirs.held(10)), undefined];
      expect(fifth).toBeUndefined();
      await theirs.settle((await theirs.held(10)).map(done));
      expect(payloads(await takeNow(theirs))).toBe("4");
      await theirs.settle((await theirs.held(10)).map(done));
      expect(await overview()).toMatchObject({ waiting: 0, running: 0, parked: 0, done: 4, dead: 1 });
    });

    test("an outcome that does not count frees nothing, and one that does frees one place once", async () => {
      await queue.enqueue(name, jobs(3, [order]));
      const lost = await takeOne();
      const kept = await reclaimOne(theirs, 1);
      expect(await ours.settle([done(lost)])).toHaveLength(1);
      expect(await takeNow(ours)).toEqual([]);
      await theirs.settle([done(kept)]);
      await theirs.settle([done(kept)]);
      expect(payloads(await takeNow(ours))).toBe("1");
      expect(await takeNow(ours)).toEqual([]);
    });

    test("in order means also through retries, snoozes and hand-backs: nothing of the key overtakes", async () => {
      await queue.enqueue(name, jobs(3, [order]));
      let lease = await takeOne();
      await ours.settle([again(lease)]);
      expect(await takeNow(ours)).toEqual([]);
      await promoteAll();
      lease = await takeOne();
      expect(lease).toMatchObject({ payload: "0", attempts: 1 });
      await ours.settle([{ to: "scheduled", lease, attempts: 1, delayMs: 1, reason: "later" }]);
      expect(await overview()).toMatchObject({ waiting: 0, parked: 2, delayed: 1 });
      await promoteAll();
      await ours.settle([{ to: "available", lease: await takeOne(), attempts: 1 }]);
      await ours.handBack(await takeAll(ours, 1));
      lease = await takeOne();
      expect(lease.payload).toBe("0");
      await ours.settle([{ to: "discarded", lease, attempts: 2, reason: "dead" }]);
      expect(payloads(await takeNow(ours))).toBe("1");
    });

    test("other keys, and jobs without one, are not held up", async () => {
      await queue.enqueue(name, jobs(2, [order]));
      await queue.enqueue(name, [...jobs(1, [{ ...order, name: "key:b" }]), { name: "plain", payload: "9" }]);
      expect(payloads(await takeAll(ours, 3))).toBe("0 0 9");
      expect(await overview()).toMatchObject({ parked: 1 });
    });

    test("delayed ones of a key keep their order: as they are due, and of one moment as they were enqueued", async () => {
      const after = [30, 20, 10].map((delayMs) => ({
        name: "j",
        payload: `after ${delayMs}`,
        gates: [order],
        delayMs,
      }));
      await queue.enqueue(name, [...jobs(12, [order], { delayMs: 1 }), ...after]);
      const due = Date.now() + 50;
      await eventually(() => Date.now() > due);
      await promoteAll();
      const seen: string[] = [];
      while (seen.length < 15) {
        const lease = await takeOne();
        seen.push(lease.payload);
        await ours.settle([done(lease)]);
      }
      expect(seen).toEqual([...jobs(12, []).map(({ payload }) => payload), "after 10", "after 20", "after 30"]);
    });

    test("a limit without an order gives the place away while a job waits for its retry, which then comes last", async () => {
      await queue.enqueue(name, jobs(4, [two]));
      const [first] = await takeAll(ours, 2);
      await ours.settle([again(first!)]);
      expect(payloads(await takeNow(ours))).toBe("2");
      await promoteAll();
      expect(await overview()).toMatchObject({ parked: 2, delayed: 0 });
      const all: string[] = [];
      for (let left = 4; left > 0; left--) {
        const [one] = await ours.held(1);
        all.push(one!.payload);
        await ours.settle([done(one!)]);
        await takeNow(ours);
      }
      expect(all.toSorted()).toEqual(["0", "1", "2", "3"]);
    });

    test("several gates are passed one after the other: who waits at the second keeps its place at the first", async () => {
      const one: Gate = { name: "job:j", max: 1 };
      await queue.enqueue(name, jobs(1, [one]));
      await queue.enqueue(name, jobs(2, [order, one]));
      expect(await overview()).toMatchObject({ waiting: 1, parked: 2 });
      await ours.settle([done(await takeOne())]);
      const second = await takeOne();
      expect(second.gates).toEqual([order, one]);
      expect(await takeNow(ours)).toEqual([]);
      await ours.settle([done(second)]);
      await ours.settle([done(await takeOne())]);
      expect(await overview()).toMatchObject({ waiting: 0, parked: 0, running: 0 });
    });

    test("delayed jobs, those of the outbox and those of any priority stand in the same line", async () => {
      await queue.enqueue(name, jobs(1, [order], { priority: "low" }));
      await queue.enqueueOnce(name, [{ id: "row", ...jobs(1, [order])[0]!, payload: "once" }]);
      await queue.enqueue(name, jobs(1, [order], { delayMs: 1, priority: "high", payload: "late" }));
      await promoteAll();
      const seen: string[] = [];
      for (let left = 3; left > 0; left--) {
        await ours.orders();
        const lease = await takeOne();
        seen.push(lease.payload);
        await ours.settle([done(lease)]);
      }
      expect(seen).toEqual(["0", "once", "late"]);
    });

    test("operators see who waits for what, and cancelling frees a place: of a waiting, a parked and a delayed job", async () => {
      const ids = await queue.enqueue(name, jobs(5, [order]));
      const { inspector } = queue;
      expect(await inspector.find(ids[1]!)).toMatchObject({ place: "parked", waitsFor: "key:a" });
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await inspector.page(name, "parked", cursor, 3);
        seen.push(...page.jobs.map(({ entry }) => `${name}:${entry}`));
        cursor = page.next;
      } while (cursor !== undefined);
      expect(seen).toEqual(ids.slice(1));
      expect(await inspector.cancel(ids[1]!)).toBe("cancelled");
      expect(await inspector.cancel(ids[0]!)).toBe("cancelled");
      const third = await takeOne();
      expect(third.id).toBe(ids[2]!);
      await ours.settle([again(third, 60_000)]);
      expect(await takeNow(ours)).toEqual([]);
      expect(await inspector.cancel(ids[2]!)).toBe("cancelled");
      expect((await takeOne()).id).toBe(ids[3]!);
      expect(await inspector.cancel(ids[4]!)).toBe("cancelled");
      expect(await overview()).toMatchObject({ waiting: 0, parked: 0, running: 1, delayed: 0 });
    });

    test("a job retried by an operator stands in line again, with the place it kept or none", async () => {
      const ids = await queue.enqueue(name, jobs(3, [order]));
      const { inspector } = queue;
      await ours.settle([again(await takeOne(), 60_000)]);
      expect(await inspector.retry(name, [ids[0]!])).toEqual(["retried"]);
      const first = await takeOne();
      expect(first.id).toBe(ids[0]!);
      await ours.settle([{ to: "discarded", lease: first, attempts: 1, reason: "dead" }]);
      expect(await inspector.retry(name, [ids[0]!])).toEqual(["retried"]);
      expect(await inspector.cancel(ids[2]!)).toBe("cancelled");
      expect(await inspector.retry(name, [ids[2]!])).toEqual(["retried"]);
      const seen: string[] = [];
      for (let left = 3; left > 0; left--) {
        const lease = await takeOne();
        seen.push(lease.id);
        await ours.settle([done(lease)]);
      }
      expect(seen).toEqual([ids[1]!, ids[0]!, ids[2]!]);
    });

    test("a rate counts attempts from when they begin, and never lets more begin in its time", async () => {
      const per = 300;
      await queue.enqueue(name, jobs(7, [{ name: "rate:j", max: 2, per }]));
      const begun: number[] = [];
      while (begun.length < 7) {
        await ours.promote(100);
        const leases = await takeNow(ours);
        await ours.begin(leases.map((lease) => ({ lease, alone: false })));
        for (const _ of leases) begun.push(performance.now());
        // A quick job frees nothing: time does.
        await ours.settle(leases.map(done));
        await Bun.sleep(5);
      }
      for (let index = 2; index < begun.length; index++) {
        expect(begun[index]! - begun[index - 2]!).toBeGreaterThan(per - 20);
      }
      expect(begun[6]! - begun[0]!).toBeLessThan(10 * per);
      expect(await overview()).toMatchObject({ waiting: 0, parked: 0, running: 0 });
    });

    test("a rate's place that was not used is free at once; one of an attempt that failed is not", async () => {
      const gate = { name: "rate:j", max: 1, per: 60_000 };
      const ids = await queue.enqueue(name, jobs(3, [gate]));
      expect(await queue.inspector.cancel(ids[0]!)).toBe("cancelled");
      const second = await takeOne();
      await ours.begin([{ lease: second, alone: false }]);
      await ours.settle([again(second)]);
      await eventually(async () => (await ours.promote(100)) !== 0 && (await overview()).delayed === 0, {
        what: "the retry is due",
      });
      expect(await takeNow(ours)).toEqual([]);
      expect(await overview()).toMatchObject({ parked: 2, waiting: 0 });
    });

    test("a rate's place is free when its time is over, though nobody waited for it", async () => {
      const rate = { name: "rate:j", max: 1, per: 30 };
      await queue.enqueue(name, jobs(1, [rate]));
      const first = await takeOne();
      await ours.begin([{ lease: first, alone: false }]);
      await ours.settle([done(first)]);
      const over = Date.now() + 60;
      await eventually(() => Date.now() > over);
      await queue.enqueue(name, jobs(1, [rate]));
      expect(await overview()).toMatchObject({ waiting: 1, parked: 0 });
    });

    test("the same begin, recorded twice because its answer got lost, counts once at a rate", async () => {
      await queue.enqueue(name, jobs(3, [{ name: "rate:j", max: 2, per: 60_000 }]));
      const [first, second] = await takeAll(ours, 2);
      await ours.begin([{ lease: first!, alone: false }]);
      await ours.begin([{ lease: first!, alone: false }]);
      await ours.settle([{ to: "scheduled", lease: second!, attempts: 0, delayMs: 60_000, reason: "later" }]);
      expect(payloads(await takeNow(ours))).toBe("2");
    });

    test("an attempt that has an outcome counts at a rate, also where its begin was not recorded", async () => {
      await queue.enqueue(name, jobs(4, [{ name: "rate:j", max: 2, per: 60_000 }]));
      const [first, second] = await takeAll(ours, 2);
      await ours.settle([done(first!), again(second!, 60_000)]);
      expect(await takeNow(ours)).toEqual([]);
      expect(await overview()).toMatchObject({ parked: 2, waiting: 0 });
    });

    test("gates that cannot be read limit nothing, and lose no job", async () => {
      const later = [{ name: "key:a", places: 1 }] as unknown as readonly Gate[];
      await queue.enqueue(name, [...jobs(1, later), ...jobs(1, later, { delayMs: 1, payload: "late" })]);
      await promoteAll();
      const leases = await takeAll(ours, 2);
      expect(leases.map(({ payload }) => payload)).toEqual(["0", "late"]);
      await ours.settle(leases.map(done));
    });

    test("the room of a queue counts those that are parked", async () => {
      await queue.enqueue(name, jobs(99, [order]));
      expect(queue.enqueue(name, jobs(2, [order]))).rejects.toMatchObject({ code: "queue_full" });
      await queue.enqueue(name, [{ name: "plain", payload: "1" }]);
      expect(queue.enqueue(name, [{ name: "plain", payload: "1" }])).rejects.toMatchObject({ code: "queue_full" });
    });

    test("when all have ended nothing is left of gates", async () => {
      await queue.enqueue(name, [...jobs(20, [order, two]), ...jobs(20, [{ ...order, name: "key:b" }, two])]);
      const seen: Lease[] = [];
      while (seen.length < 40) {
        const leases = await takeAll(ours, 1);
        expect((await overview()).running).toBeLessThanOrEqual(2);
        seen.push(...leases);
        await ours.settle(leases.map(done));
      }
      await ours.prune();
      expect(await overview()).toMatchObject({ waiting: 0, parked: 0, running: 0 });
      await queue.enqueue(name, jobs(1, [order, two]));
      expect(await takeNow(ours)).toHaveLength(1);
    });
  });
}
