/** What only the Redis driver can be asked: a server that dies, forgets everything and comes back, and what it keeps in between. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import type { Redis } from "ioredis";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, Lease, Queue } from "../../src/store/queue/queue.ts";
import { RedisConnection } from "../../src/store/redis/connection.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const never = new AbortController().signal;
const job = (name: string, more = {}) => ({ name, payload: "{}", ...more });
const namespace = freshNamespace();

let redis: RedisServer;
let client: Redis;
let queue: Queue;

beforeAll(async () => {
  redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  client = redis.client();
  client.on("error", () => undefined);
  queue = openQueue(redis.url, { namespace });
  await queue.ping();
});
afterAll(async () => {
  client.disconnect();
  await queue.close();
  await redis.remove();
});

test("after FLUSHALL a consumer that was waiting takes what is enqueued since", async () => {
  const consumer = queue.consumer("flushed", "ours");
  await queue.enqueue("flushed", [job("before")]);
  const [before] = await consumer.take(1, 1_000, never);
  const waiting = takeOne(consumer);
  await client.flushall();
  await queue.enqueue("flushed", [job("after")]);
  expect((await waiting).name).toBe("after");
  expect(await consumer.settle([{ to: "completed", lease: before! }])).toEqual([before!]);
});

test("after FLUSHALL every operation of a consumer works", async () => {
  const consumer = queue.consumer("flushed", "ours");
  for (const operation of [
    () => consumer.reclaim(10, 0),
    () => consumer.held(10),
    () => consumer.promote(10),
    () => queue.stats("flushed"),
    () => consumer.take(1, 1, never),
  ]) {
    await client.flushall();
    await operation();
  }
});

test("a job is no key of its own, a waiting one costs under 300 bytes, and of those that ended as many are kept as was said", async () => {
  await client.flushall();
  const consumer = queue.consumer("memory", "ours");
  const payload = JSON.stringify({ text: "x".repeat(89) });
  const jobs = 10_000;
  const keys = async () => (await client.keys("*")).map((key) => key.replace(/^.*\}:/, "")).toSorted();
  await queue.enqueue(
    "memory",
    Array.from({ length: jobs }, () => ({ name: "send_welcome_email", payload })),
  );
  const stream = `{${namespace}:q:memory}:stream`;
  expect(await keys()).toEqual(["queues", "stream"]);
  expect(Number(await client.memory("USAGE", stream)) / jobs).toBeLessThan(300);
  for (let left = jobs; left > 0;) {
    const leases = await consumer.take(1_000, 1_000, never);
    await consumer.settle(leases.map((lease) => ({ to: "completed", lease })));
    left -= leases.length;
  }
  expect(await client.xlen(stream)).toBe(0);
  expect(await keys()).toEqual(["counts", "done", "done:jobs", "queues", "stream"]);
  expect(await client.zcard(`{${namespace}:q:memory}:done`)).toBe(1_000);
  expect(await client.hlen(`{${namespace}:q:memory}:done:jobs`)).toBe(1_000);
});

test("what leads to a job, and what was said of it, goes with it", async () => {
  await client.flushall();
  const consumer = queue.consumer("notes", "ours");
  await queue.enqueueOnce(
    "notes",
    ["a", "b", "c", "d"].map((id) => ({ id, name: "j", payload: "{}" })),
  );
  const [a, b, c, d] = await consumer.take(4, 1_000, never);
  await consumer.begin([a!, b!, c!, d!].map((lease) => ({ lease, alone: false })));
  await consumer.report([a!, b!, c!, d!].map((lease) => ({ lease, value: "1" })));
  for (const lease of [a!, b!, c!]) await queue.inspector.cancel(lease.id);
  const keys = async () => (await client.keys("*notes}*")).map((key) => key.replace(/^.*\}:/, "")).toSorted();
  expect(await keys()).toEqual(["cancel", "known", "moved", "progress", "started", "stream"]);
  await consumer.settle([
    { to: "completed", lease: a! },
    { to: "cancelled", lease: b!, attempts: 1, reason: "cancelled" },
    { to: "discarded", lease: c!, attempts: 1, reason: "no" },
    { to: "discarded", lease: d!, attempts: 1, reason: "no" },
  ]);
  expect(await keys()).toEqual(["counts", "dead", "dead:jobs", "done", "done:jobs", "known", "stream"]);
  expect(await client.xlen(`{${namespace}:q:notes}:stream`)).toBe(0);
});

test("while Redis is down an enqueue fails within its timeout, and soon at once", async () => {
  await redis.kill();
  expect(queue.enqueue("down", [job("j")])).rejects.toMatchObject({ code: "store_unavailable" });
  await until(async () => {
    await queue.ping().catch(() => undefined);
    return queue.state === "down";
  });
  const started = performance.now();
  expect(queue.enqueue("down", [job("j")])).rejects.toMatchObject({ code: "store_unavailable" });
  expect(performance.now() - started).toBeLessThan(50);
  await redis.start();
  await until(() => queue.enqueue("down", [job("j")]).then(Boolean, () => false));
});

test("what a worker is told of an outage names no option of the driver's", async () => {
  const consumer = queue.consumer("told", "ours");
  await consumer.take(1, 1, never);
  await redis.kill();
  const messages: string[] = [];
  const asked: Promise<unknown>[] = [];
  // From the moment it is gone until that is known, one question after the other without waiting for answers.
  await until(() => {
    asked.push(consumer.promote(1).catch((error: unknown) => messages.push(String(error))));
    return Promise.resolve(messages.some((message) => message.includes("the connection is down")));
  });
  await redis.start();
  await Promise.all(asked);
  expect(messages.filter((message) => message.includes("the connection was lost before it answered"))).not.toEqual([]);
  expect(messages.filter((message) => message.includes("maxRetriesPerRequest"))).toEqual([]);
  await until(() =>
    consumer.promote(1).then(
      () => true,
      () => false,
    ),
  );
});

test("an enqueue that Redis dies with fails at once, and those after it are none the worse", async () => {
  process.kill(redis.pid(), "SIGSTOP");
  const unanswered = queue.enqueue("unanswered", [job("j")]).then(String, (error: unknown) => error);
  // Written, and waiting for an answer.
  await Bun.sleep(20);
  await redis.kill();
  await redis.start();
  // Measured from here: how long a server takes to start is the machine's to say.
  const started = performance.now();
  expect(await unanswered).toMatchObject({ code: "store_unavailable" });
  await until(() => queue.enqueue("unanswered", [job("j")]).then(Boolean, () => false));
  await queue.enqueue("unanswered", [job("j")]);
  expect(performance.now() - started).toBeLessThan(1_500);
});

test("while Redis loads its data operations are refused at once, and go on soon after it has", async () => {
  const loading = await startRedis({
    "key-load-delay": "8000",
    "loading-process-events-interval-bytes": "1024",
    rdbcompression: "no",
  });
  const filler = loading.client();
  filler.on("error", () => undefined);
  for (let key = 0; key < 500; key++) await filler.set(`filler:${key}`, "x".repeat(1_000));
  await filler.save();
  const slow = openQueue(loading.url, { namespace });
  await slow.ping();
  await loading.kill();
  let loaded = false;
  const started = loading.start().then(() => (loaded = true));
  await until(() =>
    slow.ping().then(
      () => false,
      () => slow.state === "down",
    ),
  );
  expect(loaded).toBe(false);
  const asked = performance.now();
  expect(await slow.enqueue("loading", [job("j")]).catch((error: unknown) => error)).toMatchObject({
    code: "store_unavailable",
  });
  expect(performance.now() - asked).toBeLessThan(50);
  await started;
  const back = performance.now();
  await until(() => slow.enqueue("loading", [job("j")]).then(Boolean, () => false));
  expect(performance.now() - back).toBeLessThan(1_500);
  expect(await slow.stats("loading")).toMatchObject({ waiting: 1 });
  filler.disconnect();
  await slow.close();
  await loading.remove();
});

test("a consumer takes again within 1.5 s of Redis answering, and what was acknowledged is there", async () => {
  const consumer = queue.consumer("restarted", "ours");
  const ids = await queue.enqueue("restarted", [job("a"), job("b", { delayMs: 1 })]);
  const idle = consumer.take(1, 60_000, never).catch(() => []);
  await redis.kill();
  await idle;
  await Bun.sleep(300);
  await redis.start();
  const back = performance.now();
  const first = await takeOne(consumer);
  expect(performance.now() - back).toBeLessThan(1_500);
  await until(() =>
    consumer.promote(10).then(
      (next) => next === undefined,
      () => false,
    ),
  );
  // The first was delivered before the kill or after it: a lease either way, and never lost.
  const names = [first, ...(await takeOrReclaim(consumer))].map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining(names));
});

test("a client that does not come back by itself is made anew", async () => {
  const connection = new RedisConnection(redis.url, { name: "lost", onLostReply: "fail", operationTimeoutMs: 1_000 });
  const ping = () => connection.run("ping", "", (each) => each.ping());
  expect(await ping()).toBe("PONG");
  const lost = connection.client;
  // Its end, for the driver: it connects no more.
  lost.disconnect();
  await until(() =>
    ping()
      .then((pong) => pong === "PONG")
      .catch(() => false),
  );
  expect(connection.client).not.toBe(lost);
  connection.close();
});

test("how a server may lose jobs is told: one that evicts, and one without an append-only file", async () => {
  expect(await queue.dangers()).toEqual([]);
  await client.config("SET", "maxmemory-policy", "allkeys-lru");
  await client.config("SET", "appendonly", "no");
  expect(await queue.dangers()).toEqual([
    expect.stringContaining("allkeys-lru"),
    expect.stringContaining("appendonly"),
  ]);
  await client.config("SET", "appendonly", "yes");
  await client.config("SET", "maxmemory-policy", "noeviction");
});

test("what was delivered to a connection that broke is still held by its owner", async () => {
  const consumer = queue.consumer("broken", "ours");
  await consumer.take(1, 1, never);
  // A second reader under the same name stands for the answer that was never read.
  await client.xadd(`{${namespace}:q:broken}:stream`, "*", "job", '{"v":1,"name":"unseen"}\n{}');
  await client.xreadgroup("GROUP", "workers", "ours", "STREAMS", `{${namespace}:q:broken}:stream`, ">");
  const held = await consumer.held(10);
  expect(held.map((lease) => lease.name)).toEqual(["unseen"]);
  expect(await consumer.settle([{ to: "available", lease: held[0]!, attempts: 0 }])).toEqual([]);
  expect(await takeOne(consumer)).toMatchObject({ name: "unseen", deliveries: 1, attempts: 0 });
});

test("outcomes recorded again because the answer got lost are answered as the first time, and recorded once", async () => {
  const ours = queue.consumer("again", "ours");
  await queue.enqueue(
    "again",
    Array.from({ length: 6 }, () => job("j")),
  );
  const [a, b, c, d, e, gone] = (await ours.take(6, 1_000, never)) as [Lease, Lease, Lease, Lease, Lease, Lease];
  await ours.settle([{ to: "completed", lease: gone }]);
  const outcomes = [
    { to: "completed", lease: a },
    { to: "completed", lease: gone },
    { to: "cancelled", lease: b, attempts: 1, reason: "cancelled" },
    { to: "retryable", lease: c, attempts: 1, delayMs: 60_000, reason: "no" },
    { to: "discarded", lease: d, attempts: 1, reason: "no" },
    { to: "available", lease: e, attempts: 0 },
  ] as const;
  const state = async () => [
    await queue.stats("again"),
    await client.hgetall(`{${namespace}:q:again}:counts`),
    await client.zcard(`{${namespace}:q:again}:done`),
  ];
  expect(await ours.settle(outcomes, 7)).toEqual([gone]);
  const after = await state();
  expect(after[0]).toEqual({ waiting: 1, delayed: 1, running: 0, dead: 1 });
  expect(await ours.settle(outcomes, 7)).toEqual([gone]);
  expect(await state()).toEqual(after);
  // Another round is another question, and another worker's are not ours.
  expect(await ours.settle([{ to: "completed", lease: a }], 8)).toEqual([a]);
  expect(await queue.consumer("again", "theirs").settle([{ to: "completed", lease: a }], 7)).toEqual([a]);
  // Receipts go by themselves.
  for (const key of await client.keys(`{${namespace}:q:again}:receipt:*`)) {
    expect(await client.pttl(key)).toBeGreaterThan(500_000);
  }
});

test("a worker that leaves takes its name along, but never a lease", async () => {
  const names = async () => {
    const infos = (await client.xinfo("CONSUMERS", `{${namespace}:q:leaving}:stream`, "workers")) as string[][];
    return infos.map((info) => info[1]);
  };
  const idle = queue.consumer("leaving", "idle");
  const busy = queue.consumer("leaving", "busy");
  await idle.take(1, 1, never);
  await queue.enqueue("leaving", [job("j")]);
  await takeOne(busy);
  await idle.close();
  await busy.close();
  await busy.close();
  expect(await names()).toEqual(["busy"]);
});

test("a long delay and a far id survive as text", async () => {
  const year = 365 * 24 * 3_600_000;
  const [id] = await queue.enqueue("far", [job("j", { delayMs: year })]);
  expect(id).toMatch(/^far:\d{13}-d0{15}1$/);
  const nextMs = await queue.consumer("far", "ours").promote(1);
  expect(nextMs).toBeGreaterThan(year - 10_000);
  expect(nextMs).toBeLessThanOrEqual(year);
});

async function takeOne(consumer: Consumer): Promise<Lease> {
  for (;;) {
    const [lease] = await consumer.take(1, 1_000, never).catch(() => []);
    if (lease) return lease;
    await Bun.sleep(10);
  }
}

async function takeOrReclaim(consumer: Consumer): Promise<readonly Lease[]> {
  const taken = await consumer.take(10, 50, never);
  return taken.length > 0 ? taken : await consumer.reclaim(10, 0);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}
