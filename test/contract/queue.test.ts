/** What every Queue driver promises, run on each: a real Redis, one behind Sentinels, and a SQLite file. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, Lease, Queue } from "../../src/store/queue/queue.ts";
import { redisAt } from "../../src/store/redis/access.ts";
import { reclaimOne, takeAll } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { storeForms } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const never = new AbortController().signal;
const job = (name: string, more = {}) => ({ name, payload: "{}", ...more });

for (const [driver, urlOf] of Object.entries(storeForms)) {
  describe(`queue on ${driver}`, () => {
    const namespace = freshNamespace();
    let url: string;
    let queue: Queue;
    let elsewhere: Queue;
    let name = "";
    let ours: Consumer;
    let theirs: Consumer;
    let tests = 0;

    beforeAll(async () => {
      url = await urlOf();
      queue = openQueue(url, { namespace, deadLettersMax: 3 });
      elsewhere = openQueue(url, { namespace, deadLettersMax: 3 });
    });
    beforeEach(() => {
      name = `q${++tests}`;
      ours = queue.consumer(name, "ours");
      theirs = elsewhere.consumer(name, "theirs");
    });
    afterAll(async () => {
      await queue.close();
      await elsewhere.close();
    });

    const take = (from = ours, max = 10) => from.take(max, 1, never);
    const takeOne = async (from = ours): Promise<Lease> => {
      const [lease] = await from.take(1, 1_000, never);
      if (!lease) throw new Error("nothing to take");
      return lease;
    };
    const counts = () => queue.stats(name);

    test("jobs come out in the order they went in, with what was put in", async () => {
      const payloads = ["null", '{"text":"ünï\\u0000 \\n code"}', "[1,2]"];
      const ids = await queue.enqueue(
        name,
        payloads.map((payload) => ({ name: "echo", payload })),
      );
      const leases = await takeAll(ours, 3);
      expect(leases.map((lease) => lease.payload)).toEqual(payloads);
      expect(leases.map((lease) => lease.id)).toEqual([...ids]);
      expect(leases[0]).toMatchObject({ name: "echo", attempts: 0, deliveries: 1, owner: "ours", queue: name });
      expect(new Set(ids).size).toBe(3);
      expect(ids.every((id) => id.startsWith(`${name}:`))).toBe(true);
      expect(Math.abs(leases[0]!.availableAtMs - Date.now())).toBeLessThan(5_000);
    });

    test("a job is handed to one worker only", async () => {
      await queue.enqueue(
        name,
        Array.from({ length: 50 }, () => job("j")),
      );
      const takenBy = async (consumer: Consumer) => {
        const taken: Lease[] = [];
        for (let batch = await take(consumer, 7); batch.length > 0; batch = await take(consumer, 7))
          taken.push(...batch);
        return taken;
      };
      await take(ours, 1).then((first) => ours.settle([{ to: "completed", lease: first[0]! }]));
      const [a, b] = await Promise.all([takenBy(ours), takenBy(theirs)]);
      expect(new Set([...a, ...b].map((lease) => lease.id)).size).toBe(49);
      expect(a.length + b.length).toBe(49);
    });

    test("completed is gone, and counts once", async () => {
      await queue.enqueue(name, [job("j")]);
      const lease = await takeOne();
      expect(await counts()).toEqual({ waiting: 0, delayed: 0, running: 1, dead: 0 });
      expect(await ours.settle([{ to: "completed", lease }])).toEqual([]);
      expect(await ours.settle([{ to: "completed", lease }])).toEqual([lease]);
      expect(await counts()).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
    });

    test("a waiting take answers when a job arrives from another process", async () => {
      const waiting = ours.take(1, 5_000, never);
      await elsewhere.enqueue(name, [job("j")]);
      expect(await waiting).toHaveLength(1);
    });

    test("an aborted take returns at once and takes nothing with it", async () => {
      const stop = new AbortController();
      const started = performance.now();
      const waiting = ours.take(1, 5_000, stop.signal);
      setTimeout(() => stop.abort(), 20);
      expect(await waiting).toEqual([]);
      expect(performance.now() - started).toBeLessThan(1_000);
      await queue.enqueue(name, [job("j")]);
      expect(await ours.take(1, 1_000, stop.signal)).toEqual([]);
      expect((await takeOne(theirs)).deliveries).toBe(1);
    });

    test("a delayed job becomes available when it is due, under the id it was given", async () => {
      const [id] = await queue.enqueue(name, [job("later", { delayMs: 500 })]);
      expect(await counts()).toMatchObject({ waiting: 0, delayed: 1 });
      const nextMs = await ours.promote(10);
      expect(nextMs).toBeGreaterThan(0);
      expect(nextMs).toBeLessThanOrEqual(500);
      expect(await take()).toEqual([]);
      await until(async () => (await ours.promote(10)) === undefined);
      expect(await takeOne()).toMatchObject({ id, name: "later", attempts: 0, deliveries: 1 });
      expect(await counts()).toMatchObject({ delayed: 0, running: 1 });
    });

    test("promotion by many at once makes each job available once", async () => {
      await queue.enqueue(
        name,
        Array.from({ length: 30 }, () => job("j", { delayMs: 1 })),
      );
      await until(async () => {
        await Promise.all([ours.promote(7), theirs.promote(7), ours.promote(7)]);
        return (await counts()).delayed === 0;
      });
      expect((await takeAll(ours, 30)).length).toBe(30);
      expect(await take(theirs)).toEqual([]);
    });

    test("a failed job comes back delayed with its attempts and its id, time after time", async () => {
      const [id] = await queue.enqueue(name, [job("flaky")]);
      for (let attempts = 1; attempts <= 3; attempts++) {
        const lease = await takeOne();
        expect(lease).toMatchObject({ id, attempts: attempts - 1, deliveries: 1 });
        await ours.settle([{ to: "retryable", lease, attempts, delayMs: 5, reason: `failure ${attempts}` }]);
        expect(await counts()).toMatchObject({ running: 0, delayed: 1 });
        await until(async () => (await ours.promote(10)) === undefined);
      }
      expect(await takeOne()).toMatchObject({ id, attempts: 3 });
    });

    test("a job handed back is available at once, and the attempt was none", async () => {
      const [id] = await queue.enqueue(name, [job("j")]);
      const lease = await takeOne();
      await ours.settle([{ to: "available", lease, attempts: lease.attempts }]);
      expect(await takeOne(theirs)).toMatchObject({ id, attempts: 0, deliveries: 1 });
    });

    test("discarded jobs are kept as dead letters with their reason, the newest of them", async () => {
      const ids = await queue.enqueue(
        name,
        Array.from({ length: 5 }, (_, index) => ({ name: "poison", payload: String(index) })),
      );
      for (const lease of await takeAll(ours, 5)) {
        await ours.settle([{ to: "discarded", lease, attempts: 10, reason: `broke on ${lease.payload}` }]);
      }
      const letters = await queue.deadLetters(name, 10);
      expect(letters.map((letter) => letter.id)).toEqual([ids[4], ids[3], ids[2]] as string[]);
      expect(letters[0]).toMatchObject({ name: "poison", payload: "4", attempts: 10, reason: "broke on 4" });
      expect(Math.abs(letters[0]!.diedAtMs - Date.now())).toBeLessThan(5_000);
      expect(await counts()).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 3 });
    });

    test("many outcomes are recorded in one call, each for its own job", async () => {
      await queue.enqueue(
        name,
        ["a", "b", "c", "d", "e"].map((each) => job(each)),
      );
      const leases = await takeAll(ours, 5);
      const lost = await ours.settle([
        { to: "completed", lease: leases[0]! },
        { to: "retryable", lease: leases[1]!, attempts: 1, delayMs: 60_000, reason: "no" },
        { to: "scheduled", lease: leases[2]!, attempts: 0, delayMs: 60_000, reason: "unknown" },
        { to: "available", lease: leases[3]!, attempts: 0 },
        { to: "discarded", lease: leases[4]!, attempts: 1, reason: "no" },
      ]);
      expect(lost).toEqual([]);
      expect(await counts()).toEqual({ waiting: 1, delayed: 2, running: 0, dead: 1 });
    });

    test("a lease that ran out goes to another worker, and the first holder's outcome no longer counts", async () => {
      const [id] = await queue.enqueue(name, [job("j")]);
      const lost = await takeOne();
      expect(await theirs.reclaim(10, 60_000)).toEqual([]);
      const reclaimed = await reclaimOne(theirs, 10);
      expect(reclaimed).toMatchObject({ id, attempts: 0, deliveries: 2, owner: "theirs" });

      expect(await ours.renew([lost])).toEqual([lost]);
      expect(await ours.settle([{ to: "completed", lease: lost }])).toEqual([lost]);
      expect(await ours.settle([{ to: "discarded", lease: lost, attempts: 1, reason: "late" }])).toEqual([lost]);
      expect(await ours.settle([{ to: "available", lease: lost, attempts: 0 }])).toEqual([lost]);
      expect(await counts()).toEqual({ waiting: 0, delayed: 0, running: 1, dead: 0 });
      expect(await theirs.settle([{ to: "completed", lease: reclaimed }])).toEqual([]);
    });

    test("the token is the delivery, not the worker: one who lost a lease and got it again cannot use the old one", async () => {
      await queue.enqueue(name, [job("j")]);
      const first = await takeOne();
      await reclaimOne(theirs, 1);
      const again = await reclaimOne(ours, 1);
      expect(again.deliveries).toBe(3);
      expect(await ours.settle([{ to: "completed", lease: first }])).toEqual([first]);
      expect(await ours.settle([{ to: "completed", lease: again }])).toEqual([]);
    });

    test("the token of a lease ends with it, also where the same worker takes the job again", async () => {
      const [id] = await queue.enqueue(name, [job("j")]);
      const first = await takeOne();
      await ours.settle([{ to: "available", lease: first, attempts: 0 }]);
      const second = await takeOne();
      await ours.handBack([second]);
      const third = await takeOne();
      await ours.settle([{ to: "discarded", lease: third, attempts: 1, reason: "no" }]);
      await queue.inspector.retry(name, [id!]);
      const last = await takeOne();
      for (const old of [first, second, third]) {
        expect(await ours.settle([{ to: "completed", lease: old }])).toEqual([old]);
        expect(await ours.renew([old])).toEqual([old]);
      }
      expect(last).toMatchObject({ id, deliveries: 1 });
      expect(await ours.settle([{ to: "completed", lease: last }])).toEqual([]);
    });

    test("a renewed lease is not reclaimed, and renewing counts no delivery", async () => {
      await queue.enqueue(name, [job("j")]);
      const lease = await takeOne();
      for (let beats = 0; beats < 6; beats++) {
        await Bun.sleep(30);
        expect(await ours.renew([lease])).toEqual([]);
        expect(await theirs.reclaim(10, 2_000)).toEqual([]);
      }
      expect(await ours.held(10)).toMatchObject([{ entry: lease.entry, deliveries: 1 }]);
      expect(await ours.settle([{ to: "completed", lease }])).toEqual([]);
    });

    test("held lists what is leased to an owner, whoever asks in its name", async () => {
      await queue.enqueue(name, [job("a"), job("b"), job("c")]);
      await takeAll(ours, 2);
      await takeOne(theirs);
      expect((await ours.held(10)).map((lease) => lease.name)).toEqual(["a", "b"]);
      expect((await elsewhere.consumer(name, "ours").held(1)).map((lease) => lease.name)).toEqual(["a"]);
    });

    test("a unique job is enqueued once until it has its outcome, delayed and retried included", async () => {
      const unique = { unique: "user:7" };
      const [first] = await queue.enqueue(name, [job("j", { ...unique, delayMs: 1 })]);
      const [same] = await elsewhere.enqueue(name, [job("j", unique)]);
      const [other] = await elsewhere.enqueue(name, [job("j", { unique: "user:8" })]);
      expect(same).toBe(first);
      expect(other).not.toBe(first);
      await until(async () => (await ours.promote(10)) === undefined);
      const lease = (await takeAll(ours, 2)).find(({ id }) => id === first)!;
      expect(lease.unique).toBe("user:7");
      await ours.settle([{ to: "retryable", lease, attempts: 1, delayMs: 1, reason: "once more" }]);
      expect(await queue.enqueue(name, [job("j", unique)])).toEqual([first!]);
      await until(async () => (await ours.promote(10)) === undefined);
      await ours.settle([{ to: "completed", lease: await takeOne() }]);
      expect(await queue.enqueue(name, [job("j", unique)])).not.toEqual([first!]);
    });

    test.each(["half a pair \ud83d", "line\nof a table\t\u0000\\ud83d", "größer 🙂"])(
      "a unique key of any text is given back: %j",
      async (unique) => {
        const [first] = await queue.enqueue(name, [job("j", { unique })]);
        const [taken] = await takeAll(ours, 1);
        expect(await ours.begin([{ lease: taken!, alone: false }])).toEqual([]);
        expect(await ours.settle([{ to: "completed", lease: taken!, result: JSON.stringify(unique) }])).toEqual([]);
        expect(await queue.enqueue(name, [job("j", { unique })])).not.toEqual([first!]);
      },
    );

    test("a discarded job gives its unique key back", async () => {
      const [first] = await queue.enqueue(name, [job("j", { unique: "k" })]);
      await ours.settle([{ to: "discarded", lease: await takeOne(), attempts: 1, reason: "no" }]);
      expect(await queue.enqueue(name, [job("j", { unique: "k" })])).not.toEqual([first!]);
    });

    test("a queue without room refuses with a typed error, and takes nothing of the step", async () => {
      const small = openQueue(url, { namespace, jobsMax: 3 });
      await small.enqueue(name, [job("a"), job("b", { delayMs: 60_000 })]);
      expect(small.enqueue(name, [job("c"), job("d")])).rejects.toMatchObject({
        code: "queue_full",
        message: expect.stringContaining(`queue ${name} holds 2 jobs and has no room for 2 more: its limit is 3`),
      });
      await small.enqueue(name, [job("c")]);
      expect(await counts()).toMatchObject({ waiting: 2, delayed: 1 });
      await small.close();
    });

    test("a long list is enqueued whole, in order", async () => {
      const ids = await queue.enqueue(
        name,
        Array.from({ length: 2_500 }, (_, index) => ({ name: "bulk", payload: String(index) })),
      );
      expect(new Set(ids).size).toBe(2_500);
      expect(await counts()).toMatchObject({ waiting: 2_500 });
      expect((await takeAll(ours, 2_500)).map((lease) => Number(lease.payload))).toEqual(
        Array.from({ length: 2_500 }, (_, index) => index),
      );
    });

    test("queues and namespaces do not see each other's jobs", async () => {
      const foreign = openQueue(url, { namespace: `${namespace}-other` });
      await foreign.enqueue(name, [job("j")]);
      await queue.enqueue(`${name}-other`, [job("j")]);
      expect(await take()).toEqual([]);
      expect(await counts()).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
      await foreign.close();
    });

    test("a job of a later version is marked, and put back with all it carried", async () => {
      await put(driver, url, namespace, name, '{"v":99,"name":"future","colour":"red"}\n{"a":1}');
      const lease = await takeOne();
      expect(lease).toMatchObject({ fault: "newer", name: "future", payload: '{"a":1}' });
      await ours.settle([{ to: "scheduled", lease, attempts: 0, delayMs: 1, reason: "newer" }]);
      await until(async () => (await ours.promote(10)) === undefined);
      expect((await takeOne()).envelope).toContain('"colour":"red"');
    });

    test("what is no job at all is marked, and its text survives as a dead letter", async () => {
      await put(driver, url, namespace, name, "rubbish");
      const lease = await takeOne();
      expect(lease).toMatchObject({ fault: "garbled", name: "(unreadable)" });
      await ours.settle([{ to: "discarded", lease, attempts: 1, reason: "unreadable" }]);
      expect(await queue.deadLetters(name, 1)).toMatchObject([{ payload: '"rubbish"', reason: "unreadable" }]);
    });

    test("it answers a ping while open, and fails with a clear error once closed", async () => {
      const brief = openQueue(url, { namespace });
      await brief.ping();
      expect(brief.state).toBe("ready");
      await brief.close();
      await brief.close();
      expect(brief.state).toBe("closed");
      expect(brief.enqueue(name, [job("j")])).rejects.toMatchObject({ code: "store_unavailable" });
    });
  });
}

test("a URL no driver knows is a configuration error", () => {
  expect(() => openQueue("amqp://host", { namespace: "n" })).toThrow(
    /the queue's URL is amqp:\/\/host, expected redis:/,
  );
});

/** Stores a job as another version of scale, or nobody, would have written it. */
async function put(driver: string, url: string, namespace: string, name: string, envelope: string): Promise<void> {
  if (driver !== "sqlite") {
    const redis = redisAt(url)({ name: "put", onLostReply: "fail", operationTimeoutMs: 5_000 });
    const stream = `{${namespace}:q:${name}}:stream`;
    await redis.run("put", stream, (client) => client.xadd(stream, "*", "job", envelope));
    redis.close();
    return;
  }
  const database = new Database(url.slice("file:".length));
  const insert = "INSERT INTO job (queue, state, at, available_at, envelope) VALUES (?, 'available', 1, 1, ?)";
  database.query(insert).run(`${namespace}:${name}`, envelope);
  database.close();
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}
