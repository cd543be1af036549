/** A Redis Cluster that changes under those who use it: a primary dies, one gives its place up, a slot moves with what is in it. On real servers. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openKv } from "../../src/store/kv/open.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import { startApplication } from "../harness/application.ts";
import { eventually } from "../harness/eventually.ts";
import { takeAll } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { type RedisClusterServers, startRedisCluster } from "../harness/redis_cluster.ts";
import { refusalBy } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const minute = 60_000;
const never = new AbortController().signal;
const job = (name: string) => ({ name, payload: "{}" });

let cluster: RedisClusterServers;
beforeAll(async () => void (cluster = await startRedisCluster()));
afterAll(() => cluster.remove());

const streamOf = (namespace: string, queue: string) => `{${namespace}:q:${queue}}:stream`;

test("keys lie on every primary, and each is read back from its own", async () => {
  const kv = openKv(cluster.url, { namespace: freshNamespace() });
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => kv.set(key, key, minute)));
  expect(await kv.getMany(keys)).toEqual(keys);
  const clients = cluster.clients();
  const counts = await Promise.all(clients.map((client) => client.dbsize()));
  for (const client of clients) client.disconnect();
  expect(counts.every((count) => count > 0)).toBe(true);
  await kv.delete(keys);
  expect((await kv.getMany(keys)).every((value) => value === null)).toBe(true);
  await kv.close();
});

test("while a slot moves, and after it has, every operation finds its keys, and no job is there twice", async () => {
  const namespace = freshNamespace();
  const [kv, queue] = [openKv(cluster.url, { namespace }), openQueue(cluster.url, { namespace })];
  const stream = streamOf(namespace, "moving");
  const consumer = queue.consumer("moving", "ours");
  // Keys of the queue's slot: what counts of each is what lies before its first closing brace.
  const [old, fresh, version] = ["q:moving}old", "q:moving}fresh", "q:moving}version"];
  await kv.set(old, "value", minute);
  await queue.enqueue("moving", [job("before")]);
  const end = await cluster.beginMove(stream);
  // What is not at the old place may be at the new one, which does not know the script either.
  await kv.set(fresh, "value", minute);
  const moved = Number(await kv.increment(version, minute));
  expect(await kv.getMany([old, fresh])).toEqual(["value", "value"]);
  // A script whose keys are here and there waits until they are together.
  const split = queue.enqueue("moving", [{ ...job("split"), unique: "u" }]);
  await end();
  await split;
  expect(await kv.getMany([old, fresh])).toEqual(["value", "value"]);
  expect(Number(await kv.increment(version, minute))).toBeGreaterThan(moved);
  await queue.enqueue("moving", [job("after")]);
  const taken = await takeAll(consumer, 3);
  expect(taken.map(({ name }) => name)).toEqual(["before", "split", "after"]);
  expect(await consumer.settle(taken.map((lease) => ({ to: "completed", lease })))).toEqual([]);
  expect(await queue.stats("moving")).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
  await queue.close();
  await kv.close();
});

test("a primary that gives its place up is followed at once, and loses nothing on its way", async () => {
  const namespace = freshNamespace();
  const queue = openQueue(cluster.url, { namespace, durability: "replicas" });
  const consumer = queue.consumer("q", "ours");
  const ids: string[] = [...(await queue.enqueue("q", [job("j")]))];
  let done = false;
  const enqueueing = (async () => {
    while (!done) ids.push(...(await queue.enqueue("q", [job("j")]).catch(() => [])));
  })();
  await cluster.handOver(streamOf(namespace, "q"));
  await queue.enqueue("q", [job("last")]).then((more) => ids.push(...more));
  done = true;
  await enqueueing;
  // One whose answer was lost may be there too.
  const { waiting } = await queue.stats("q");
  const taken = (await takeAll(consumer, waiting)).map(({ id }) => id);
  expect(ids.filter((id) => !taken.includes(id))).toEqual([]);
  expect(new Set(taken).size).toBe(taken.length);
  await queue.close();
});

test("after a primary is killed, sessions, cache and queue work on its replica with what it had, and a consumer that waited takes again", async () => {
  const namespace = freshNamespace();
  const application = await startApplication(cluster.url);
  const queue = openQueue(cluster.url, { namespace });
  const consumer = queue.consumer("q", "ours");
  const stream = streamOf(namespace, "q");
  try {
    const [held, kept] = await queue.enqueue("q", [job("held"), job("kept")]);
    const [lease] = await consumer.take(1, 1_000, never);
    expect(lease!.id).toBe(held!);
    const client = (await cluster.primaryOf(stream)).client();
    await client.set(`${stream}:last`, "");
    await client.wait(1, 10_000);
    client.disconnect();
    await cluster.failOver(stream);

    const replaced = performance.now();
    const taken = await eventually(async () => (await consumer.take(1, 500, never))[0]);
    expect(performance.now() - replaced).toBeLessThan(1_500);
    expect(taken.id).toBe(kept!);
    expect(await application.strangers()).toEqual([]);
    await application.untilCached();
    expect(application.lies()).toEqual([]);
    // On another connection than the one that took it, which may be back a little later.
    expect(await eventually(() => consumer.settle([{ to: "completed", lease: taken }]))).toEqual([]);
    const [id] = await queue.enqueue("q", [job("new")]);
    expect((await takeAll(consumer, 1))[0]!.id).toBe(id!);
  } finally {
    await queue.close();
    await application.close();
  }
});

test("a Cluster that cannot be reached, and a password that is wrong, are told as such and show no password", async () => {
  const wrong = [
    [cluster.url.replace(/:\/\/:[^@]*@/, "://:hunter2@"), "WRONGPASS"],
    ["redis+cluster://:hunter2@127.0.0.1:1,127.0.0.1:2", "ECONNREFUSED"],
  ] as const;
  for (const [url, told] of wrong) {
    const error = await refusalBy(url);
    expect(error).toContain(told);
    expect(error).not.toMatch(/hunter2|harness/);
  }
});
