/** What a Queue promises to those who look at jobs and steer them, on every driver. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";

import { detailsOf, type JobDetails, type Place, places, summaryOf } from "../../src/store/queue/inspect.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, Lease, Queue, Settlement } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const never = new AbortController().signal;
const job = (name: string, more = {}) => ({ name, payload: `{"job":"${name}"}`, ...more });
const hour = 3_600_000;

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`looking at and steering jobs on ${driver}`, () => {
    const namespace = freshNamespace();
    let url: string;
    let queue: Queue;
    let name = "";
    let ours: Consumer;
    let tests = 0;

    beforeAll(async () => {
      url = await urlOf();
      queue = openQueue(url, { namespace, completedMax: 5 });
    });
    beforeEach(() => {
      name = `q${++tests}`;
      ours = queue.consumer(name, "ours");
    });
    afterAll(() => queue.close());

    const takeOne = async (): Promise<Lease> => {
      const [lease] = await ours.take(1, 1_000, never);
      if (!lease) throw new Error("nothing to take");
      return lease;
    };
    const enqueue = async (one: ReturnType<typeof job>) => (await queue.enqueue(name, [one]))[0]!;
    const promoted = () => eventually(async () => (await ours.promote(10)) === undefined);
    const settle = async (settlement: Settlement) => expect(await ours.settle([settlement])).toEqual([]);
    const show = async (id: string): Promise<JobDetails | undefined> => {
      const found = await queue.inspector.find(id);
      return found && detailsOf(found);
    };
    const state = async (id: string) => (await show(id))?.state;
    const die = async (lease: Lease, reason = "broke") =>
      settle({ to: "discarded", lease, attempts: lease.attempts + 1, reason });
    const listed = async (place: Place, pageMax: number) => {
      const ids: string[] = [];
      for (let cursor: string | undefined, pages = 0; pages === 0 || cursor !== undefined; pages++) {
        const { jobs, next } = await queue.inspector.page(name, place, cursor, pageMax);
        ids.push(...jobs.map((one) => summaryOf(one).id));
        cursor = next;
      }
      return ids;
    };

    test("a job is found by its id in every state, with what is known of it", async () => {
      const id = await enqueue(job("walk", { delayMs: 1, unique: "k" }));
      expect(await show(id)).toMatchObject({ id, name: "walk", state: "scheduled", attempts: 0, unique: "k" });
      await promoted();
      expect(await show(id)).toMatchObject({ id, state: "available", payload: '{"job":"walk"}' });
      let lease = await takeOne();
      expect(await show(id)).toMatchObject({ state: "running", attempts: 0, owner: "ours", cancelling: false });
      await ours.begin([{ lease, alone: false }]);
      expect(await show(id)).toMatchObject({ state: "running", attempts: 1 });
      expect(summaryOf((await queue.inspector.page(name, "running", undefined, 1)).jobs[0]!).attempts).toBe(1);
      await settle({ to: "retryable", lease, attempts: 1, delayMs: 1, reason: "no luck" });
      expect(await show(id)).toMatchObject({ state: "retryable", attempts: 1, reason: "no luck" });
      await promoted();
      lease = await takeOne();
      await settle({ to: "available", lease, attempts: 1 });
      expect(await show(id)).toMatchObject({ state: "available", attempts: 1 });
      lease = await takeOne();
      await settle({ to: "completed", lease, result: '{"sent":2}', durationMs: 12.4 });
      const done = await show(id);
      expect(done).toMatchObject({ id, state: "completed", attempts: 2, result: '{"sent":2}', durationMs: 12 });
      expect(done).toMatchObject({ payload: undefined, reason: undefined, history: [] });
      expect(Math.abs(done!.atMs - Date.now())).toBeLessThan(5_000);
    });

    test("when it was enqueued is known, its size without reading it, and nothing where there is no such job", async () => {
      const id = await enqueue(job("sized"));
      expect(Math.abs((await show(id))!.enqueuedAtMs! - Date.now())).toBeLessThan(5_000);
      const [listedJob] = (await queue.inspector.page(name, "waiting", undefined, 1)).jobs;
      expect(summaryOf(listedJob!)).toMatchObject({ id, payloadBytes: 15, state: "available" });
      expect(listedJob!.envelope).not.toContain('{"job"');
      for (const none of [`${name}:1-0`, `${name}:7`, `${name}:no such`, "nowhere:1-0", "rubbish", ""])
        expect(await show(none)).toBeUndefined();
    });

    test("a job under a chosen id is found too, through a retry", async () => {
      await queue.enqueueOnce(name, [{ ...job("chosen"), id: "every night/7" }]);
      const id = `${name}:every night/7`;
      expect(await state(id)).toBe("available");
      await settle({ to: "retryable", lease: await takeOne(), attempts: 1, delayMs: 1, reason: "no" });
      expect(await state(id)).toBe("retryable");
      await promoted();
      expect(await state(id)).toBe("available");
      await settle({ to: "completed", lease: await takeOne() });
      expect(await state(id)).toBe("completed");
    });

    test("each place is listed page by page, whole, in its order", async () => {
      const ids = await queue.enqueue(
        name,
        Array.from({ length: 12 }, (_, index) => job(`w${index}`)),
      );
      const delayed = await queue.enqueue(
        name,
        Array.from({ length: 7 }, (_, index) => job("d", { delayMs: hour - index * 60_000 })),
      );
      expect(await listed("waiting", 5)).toEqual([...ids]);
      expect(await listed("delayed", 3)).toEqual(delayed.toReversed());
      const leases = await ours.take(8, 1_000, never);
      expect(await listed("running", 3)).toEqual(ids.slice(0, 8));
      expect(await listed("waiting", 3)).toEqual(ids.slice(8));
      for (const lease of leases.slice(0, 4)) await die(lease);
      expect(await listed("dead", 3)).toEqual(ids.slice(0, 4).toReversed());
      for (const lease of leases.slice(4)) await settle({ to: "completed", lease });
      expect(await listed("done", 3)).toEqual(ids.slice(4, 8).toReversed());
      expect(await listed("running", 3)).toEqual([]);
    });

    test("a cursor that no page gave is refused", async () => {
      for (const place of places) {
        for (const cursor of ["", "here", "1-", "-1@x", "99999999999999999999@1"])
          expect(queue.inspector.page(name, place, cursor, 5)).rejects.toThrow(RangeError);
      }
    });

    test("many due at the same moment are listed each once", async () => {
      const ids = await queue.enqueue(
        name,
        Array.from({ length: 50 }, () => job("d", { delayMs: hour })),
      );
      const found = await listed("delayed", 7);
      expect(found).toHaveLength(50);
      expect(new Set(found)).toEqual(new Set(ids));
    });

    test("a waiting or delayed job is cancelled at once, kept for a while, and its unique key is free", async () => {
      const waiting = await enqueue(job("w", { unique: "a" }));
      const delayed = await enqueue(job("d", { unique: "b", delayMs: hour }));
      for (const id of [waiting, delayed]) {
        expect(await queue.inspector.cancel(id)).toBe("cancelled");
        expect(await show(id)).toMatchObject({
          state: "cancelled",
          reason: "cancelled by an operator",
          payload: expect.stringContaining("job"),
          history: [{ to: "cancelled" }],
        });
        expect(await queue.inspector.cancel(id)).toBe("ended");
      }
      expect(await queue.inspector.cancel(`${name}:1-0`)).toBe("unknown");
      expect(await ours.take(1, 1, never)).toEqual([]);
      expect(await enqueue(job("w", { unique: "a" }))).not.toBe(waiting);
      expect((await queue.inspector.overview(name)).counts.cancelled).toBe(2);
    });

    test("a job that waits for its retry is cancelled, and so is one put back", async () => {
      const id = await enqueue(job("j"));
      await settle({ to: "retryable", lease: await takeOne(), attempts: 1, delayMs: 1, reason: "no" });
      await promoted();
      expect(await queue.inspector.cancel(id)).toBe("cancelled");
      expect(await ours.take(1, 1, never)).toEqual([]);
      expect((await show(id))?.history.map(({ to }) => to)).toEqual(["retryable", "cancelled"]);
    });

    test("of a running job the workers are told, until it has ended", async () => {
      const id = await enqueue(job("j"));
      const lease = await takeOne();
      expect(await queue.inspector.cancel(id)).toBe("cancelling");
      expect(await queue.inspector.cancel(id)).toBe("cancelling");
      expect(await ours.orders()).toEqual({ paused: false, cancelled: [id] });
      expect(await show(id)).toMatchObject({ state: "running", cancelling: true });
      await settle({ to: "cancelled", lease, attempts: 1, reason: "cancelled by an operator" });
      expect(await state(id)).toBe("cancelled");
      expect(await ours.orders()).toEqual({ paused: false, cancelled: [] });
      const other = await enqueue(job("j"));
      const another = await takeOne();
      await queue.inspector.cancel(other);
      await settle({ to: "completed", lease: another });
      expect((await ours.orders()).cancelled).toEqual([]);
    });

    test("whoever cancels a job, how many are kept is as the workers were told", async () => {
      // A command or an application knows nothing of it.
      const other = openQueue(url, { namespace, completedMax: 1 });
      for (let n = 0; n < 3; n++) {
        await enqueue(job("c"));
        await settle({ to: "completed", lease: await takeOne() });
      }
      const cancelled = async () => other.inspector.cancel(await enqueue(job("w", { delayMs: hour })));
      expect(await cancelled()).toBe("cancelled");
      expect((await queue.inspector.overview(name)).done).toBe(4);
      for (let n = 0; n < 3; n++) await cancelled();
      await ours.prune();
      expect((await queue.inspector.overview(name)).done).toBe(5);
      await other.close();
    });

    test("so many running jobs may be told to stop at a time, and each of them again", async () => {
      const most = 1_000;
      const ids = await queue.enqueue(
        name,
        Array.from({ length: most + 1 }, () => job("j")),
      );
      for (let taken = 0; taken <= most;) taken += (await ours.take(most + 1 - taken, 1_000, never)).length;
      for (const id of ids.slice(0, most)) await queue.inspector.cancel(id);
      expect(await queue.inspector.cancel(ids[0]!)).toBe("cancelling");
      await expect(queue.inspector.cancel(ids[most]!)).rejects.toMatchObject({ code: "overloaded" });
    });

    test("a running job that was put back is cancelled when its order is given again", async () => {
      const id = await enqueue(job("j"));
      const lease = await takeOne();
      await queue.inspector.cancel(id);
      await settle({ to: "retryable", lease, attempts: 1, delayMs: hour, reason: "no" });
      expect((await ours.orders()).cancelled).toEqual([id]);
      expect(await queue.inspector.cancel(id)).toBe("cancelled");
      expect((await ours.orders()).cancelled).toEqual([]);
    });

    test("a dead letter is retried from its first attempt, and remembers where it came from", async () => {
      const id = await enqueue(job("poison", { unique: "k" }));
      await die(await takeOne());
      expect(await queue.inspector.retry(name, [id, `${name}:1-0`])).toEqual(["retried", "unknown"]);
      expect(await queue.inspector.retry(name, [id])).toEqual(["underway"]);
      const lease = await takeOne();
      expect(lease).toMatchObject({ id, attempts: 0, deliveries: 1, unique: "k" });
      const { history } = (await show(id))!;
      expect(history.map(({ to }) => to)).toEqual(["discarded", "available"]);
      expect(history[1]!.reason).toBe("retried by an operator, discarded after 1 attempt");
      expect(await enqueue(job("other", { unique: "k" }))).toBe(id);
      await die(lease);
      expect((await queue.stats(name)).dead).toBe(1);
    });

    test("what waits for its time or was cancelled can be retried; what completed, or whose unique key is held, cannot", async () => {
      const delayed = await enqueue(job("d", { delayMs: hour }));
      const cancelled = await enqueue(job("c", { delayMs: hour }));
      await queue.inspector.cancel(cancelled);
      const completed = await enqueue(job("done"));
      await settle({ to: "completed", lease: await takeOne() });
      const holding = await enqueue(job("u", { unique: "k" }));
      await die(await takeOne());
      await enqueue(job("u", { unique: "k", delayMs: hour }));
      expect(await queue.inspector.retry(name, [delayed, cancelled, completed, holding])).toEqual([
        "retried",
        "retried",
        "completed",
        "duplicate",
      ]);
      expect((await ours.take(9, 1_000, never)).map(({ id }) => id)).toEqual([delayed, cancelled]);
      expect(await state(cancelled)).toBe("running");
      for (const id of [delayed, cancelled])
        await settle({ to: "completed", lease: (await ours.held(9)).find((one) => one.id === id)! });
      expect(await state(cancelled)).toBe("completed");
    });

    test("a dead letter is discarded for good", async () => {
      const id = await enqueue(job("j"));
      await die(await takeOne());
      const waiting = await enqueue(job("j"));
      expect(await queue.inspector.discard(name, [id, waiting, `${name}:1-0`])).toEqual([true, false, false]);
      expect(await state(id)).toBeUndefined();
      expect(await state(waiting)).toBe("available");
      expect(await queue.stats(name)).toMatchObject({ dead: 0, waiting: 1 });
    });

    test("a retry that the queue has no room for moves nothing", async () => {
      const small = openQueue(url, { namespace, jobsMax: 2 });
      const id = await enqueue(job("j"));
      await die(await takeOne());
      await queue.enqueue(name, [job("a"), job("b", { delayMs: hour })]);
      await expect(small.inspector.retry(name, [id])).rejects.toMatchObject({ code: "queue_full" });
      expect(await state(id)).toBe("discarded");
      await small.close();
    });

    test("completed jobs are kept by number, those to be forgotten first making room, and not at all where a job says so", async () => {
      const ids = await queue.enqueue(
        name,
        Array.from({ length: 9 }, (_, index) => job(`j${index}`)),
      );
      const leases = await ours.take(9, 1_000, never);
      await settle({ to: "completed", lease: leases[0]!, keepMs: 48 * hour });
      await settle({ to: "completed", lease: leases[1]!, keepMs: 0 });
      await ours.settle(
        leases.slice(2).map((lease) => ({ to: "completed", lease, keepMs: hour + Number(lease.name.slice(1)) })),
      );
      const left = (await Promise.all(ids.map(state)))
        .map((found, index) => (found ? index : -1))
        .filter((at) => at >= 0);
      expect(left).toEqual([0, 5, 6, 7, 8]);
      expect((await queue.inspector.overview(name)).done).toBe(5);
    });

    test("what has been kept long enough is forgotten", async () => {
      const brief = openQueue(url, { namespace, deadLettersAge: 20 });
      const pruning = brief.consumer(name, "pruning");
      const completed = await enqueue(job("c"));
      await settle({ to: "completed", lease: await takeOne(), keepMs: 20 });
      const kept = await enqueue(job("k"));
      await settle({ to: "completed", lease: await takeOne(), keepMs: hour });
      const dead = await enqueue(job("d"));
      await die(await takeOne());
      await ours.prune();
      expect(await state(dead)).toBe("discarded");
      await eventually(async () => {
        await pruning.prune();
        return (await state(completed)) === undefined && (await state(dead)) === undefined;
      });
      expect(await state(kept)).toBe("completed");
      await brief.close();
    });

    test("how far a running job is can be read, from the holder of its lease only, and is forgotten with it", async () => {
      const id = await enqueue(job("j"));
      const lease = await takeOne();
      await ours.report([{ lease, value: '{"percent":40}' }]);
      expect((await show(id))?.progress).toBe('{"percent":40}');
      await ours.report([{ lease: { ...lease, deliveries: 2 }, value: "1" }]);
      expect((await show(id))?.progress).toBe('{"percent":40}');
      await settle({ to: "completed", lease });
      expect((await show(id))?.progress).toBeUndefined();
    });

    test("a running job runs since it began, however often its lease was renewed, and the next attempt since it did", async () => {
      const id = await enqueue(job("j"));
      const lease = await takeOne();
      const from = Date.now();
      await ours.begin([{ lease, alone: false }]);
      const { atMs } = (await show(id))!;
      expect(atMs).toBeWithin(from, Date.now() + 1);
      await eventually(() => Date.now() > atMs + 5);
      await ours.renew([lease]);
      const listed = async () => (await queue.inspector.page(name, "running", undefined, 1)).jobs.map(summaryOf);
      expect((await listed())[0]!.atMs).toBe(atMs);
      await settle({ to: "available", lease, attempts: 0 });
      const again = await takeOne();
      await ours.begin([{ lease: again, alone: true }]);
      expect((await show(id))!.atMs).toBeGreaterThan(atMs);
    });

    test("a queue is paused and resumed for all its workers", async () => {
      await enqueue(job("j"));
      await queue.inspector.pause(name);
      const { pausedAtMs } = await queue.inspector.overview(name);
      await queue.inspector.pause(name);
      expect(Math.abs(pausedAtMs! - Date.now())).toBeLessThan(5_000);
      expect(await queue.inspector.overview(name)).toMatchObject({ pausedAtMs });
      expect(await queue.consumer(name, "theirs").orders()).toEqual({ paused: true, cancelled: [] });
      await queue.inspector.resume(name);
      expect((await ours.orders()).paused).toBe(false);
    });

    test("queues are listed, and each is summed up", async () => {
      expect(await queue.inspector.queues()).not.toContain(name);
      expect(await queue.inspector.overview(name)).toMatchObject({ waiting: 0, done: 0, oldestWaitingAtMs: undefined });
      await queue.enqueue(name, [job("a"), job("b"), job("c"), job("d"), job("e", { delayMs: hour })]);
      await settle({ to: "completed", lease: await takeOne() });
      await die(await takeOne());
      await settle({ to: "retryable", lease: await takeOne(), attempts: 1, delayMs: hour, reason: "no" });
      const overview = await queue.inspector.overview(name);
      expect(overview).toMatchObject({ waiting: 1, delayed: 2, running: 0, dead: 1, done: 1, pausedAtMs: undefined });
      expect(overview.counts).toMatchObject({ completed: 1, discarded: 1, retried: 1, cancelled: 0 });
      expect(overview.counts.arrived).toBeGreaterThanOrEqual(4);
      expect(Math.abs(overview.oldestWaitingAtMs! - Date.now())).toBeLessThan(5_000);
      await eventually(async () => (await queue.inspector.queues()).includes(name));
      const names = await queue.inspector.queues();
      expect(names).toEqual(names.toSorted());
    });
  });
}
