/** What a Queue promises to happen once over a fleet, on every driver: chosen ids, the ticks of schedules, one leader. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";

import { knownJobsMax } from "../../src/store/queue/limits.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Lease, OnceJob, Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { queueDrivers } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const never = new AbortController().signal;
const job = (id: string, more: Partial<OnceJob> = {}): OnceJob => ({ id, name: "j", payload: "{}", ...more });

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`queue on ${driver}, once`, () => {
    const namespace = freshNamespace();
    let ours: Queue;
    let theirs: Queue;
    let name = "";
    let tests = 0;

    beforeAll(async () => {
      const url = await urlOf();
      ours = openQueue(url, { namespace, jobsMax: 60_000 });
      theirs = openQueue(url, { namespace, jobsMax: 60_000 });
    });
    beforeEach(() => void (name = `q${++tests}`));
    afterAll(() => Promise.all([ours.close(), theirs.close()]));

    const take = (max = 10): Promise<readonly Lease[]> => ours.consumer(name, "ours").take(max, 1, never);
    const jobsIn = async () => {
      const { waiting, delayed } = await ours.stats(name);
      return waiting + delayed;
    };

    test("a job enqueued again under its id is there once, and keeps the id and the trace through retries", async () => {
      expect(await ours.enqueueOnce(name, [job("a", { trace: "00-1" }), job("b"), job("a")])).toEqual([
        true,
        true,
        false,
      ]);
      expect(await theirs.enqueueOnce(name, [job("b"), job("c")])).toEqual([false, true]);
      const leases = await take();
      expect(leases.map(({ id }) => id)).toEqual([`${name}:a`, `${name}:b`, `${name}:c`]);
      const consumer = ours.consumer(name, "ours");
      const [first, second, third] = leases as [Lease, Lease, Lease];
      const lost = await consumer.settle([
        { to: "retryable", lease: first, attempts: 1, delayMs: 1, reason: "again" },
        { to: "completed", lease: second },
        { to: "discarded", lease: third, attempts: 1, reason: "no" },
      ]);
      expect(lost).toEqual([]);
      await eventually(async () => (await consumer.promote(10)) === undefined);
      expect(await take()).toMatchObject([{ id: `${name}:a`, attempts: 1, trace: "00-1" }]);
      expect(await ours.deadLetters(name, 1)).toMatchObject([{ id: `${name}:c` }]);
      expect(await ours.enqueueOnce(name, [job("a"), job("b"), job("c")])).toEqual([false, false, false]);
    });

    test("many who enqueue the same at once: one of them does", async () => {
      const jobs = Array.from({ length: 20 }, (_, index) => job(`${index}`));
      const answers = await Promise.all([ours, theirs, ours, theirs].map((queue) => queue.enqueueOnce(name, jobs)));
      expect(answers.flat().filter(Boolean)).toHaveLength(20);
      expect(await jobsIn()).toBe(20);
    });

    test("a delayed one waits, and comes out under its id", async () => {
      await ours.enqueueOnce(name, [job("later", { delayMs: 1 }), job("much later", { delayMs: 3_600_000 })]);
      await eventually(async () => ((await ours.consumer(name, "ours").promote(10)) ?? 0) > 1_000);
      expect((await take()).map(({ id }) => id)).toEqual([`${name}:later`]);
    });

    test("a unique key holds against chosen ids, and theirs against it", async () => {
      const unique = "user:7";
      expect(await ours.enqueueOnce(name, [job("a", { unique }), job("b", { unique })])).toEqual([true, false]);
      expect(await theirs.enqueue(name, [{ name: "j", payload: "{}", unique }])).toEqual([`${name}:a`]);
      const [lease] = await take();
      await ours.consumer(name, "ours").settle([{ to: "completed", lease: lease! }]);
      expect(await ours.enqueueOnce(name, [job("b", { unique }), job("c", { unique })])).toEqual([false, true]);
    });

    test("without room nothing is taken, and nothing remembered", async () => {
      const small = openQueue(await urlOf(), { namespace, jobsMax: 2 });
      await expect(small.enqueueOnce(name, [job("a"), job("b"), job("c")])).rejects.toMatchObject({
        code: "queue_full",
      });
      expect(await ours.enqueueOnce(name, [job("a")])).toEqual([true]);
      await small.close();
    });

    // It takes seconds, and knows nothing of the form of a driver.
    if (driver in queueDrivers) {
      test("of ids only the newest are remembered", async () => {
        await ours.enqueueOnce(name, [job("first")]);
        const others = Array.from({ length: knownJobsMax }, (_, index) => job(`${index}`));
        await ours.enqueueOnce(name, others);
        expect(await ours.enqueueOnce(name, [job("0"), job("first")])).toEqual([false, true]);
      });
    }

    test("a tick fires once, later ones go on, and one before the last is over", async () => {
      const tick = (atMs: number) => job(`nightly-${atMs}`, { tick: { schedule: "nightly", atMs } });
      const { nowMs, lastMs } = await ours.ticks(name, ["nightly", "hourly"]);
      expect(lastMs).toEqual([nowMs, nowMs]);
      expect(Math.abs(nowMs - Date.now())).toBeLessThan(5_000);
      const [one, two, three] = [nowMs + 1, nowMs + 2, nowMs + 3];
      const both = await Promise.all([ours, theirs].map((queue) => queue.enqueueOnce(name, [tick(one), tick(two)])));
      expect(both.flat().filter(Boolean)).toHaveLength(2);
      expect(await theirs.enqueueOnce(name, [tick(three), tick(one)])).toEqual([true, false]);
      expect((await theirs.ticks(name, ["hourly", "nightly"])).lastMs).toEqual([nowMs, three]);
      expect((await take()).map(({ id }) => id)).toEqual([one, two, three].map((at) => `${name}:nightly-${at}`));
    });

    test("one leads at a time, until it resigns or its lease runs out", async () => {
      expect(await ours.lead("a", 60_000)).toBe(true);
      expect(await ours.lead("a", 60_000)).toBe(true);
      expect(await theirs.lead("b", 60_000)).toBe(false);
      await theirs.resign("b");
      expect(await theirs.lead("b", 60_000)).toBe(false);
      await ours.resign("a");
      expect(await theirs.lead("b", 30)).toBe(true);
      await eventually(() => ours.lead("a", 60_000));
      expect(await theirs.lead("b", 60_000)).toBe(false);
    });
  });
}
