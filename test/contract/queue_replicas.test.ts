/** --queue-durability=replicas: what an enqueue has answered for outlives the primary. On a real primary and replica. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import type { ScaleError } from "../../src/std/errors.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const namespace = freshNamespace();
const jobs = (count: number) => Array.from({ length: count }, () => ({ name: "j", payload: "{}" }));

let primary: RedisServer;
let replica: RedisServer;
let queue: Queue;
beforeAll(async () => {
  primary = await startRedis({ "repl-diskless-sync-delay": "0" });
  replica = await startRedis({ replicaof: `127.0.0.1 ${primary.port}` });
  queue = openQueue(primary.url, { namespace, durability: "replicas" });
  await synced();
});
afterAll(async () => {
  await queue.close();
  await replica.remove();
  await primary.remove();
});

async function synced(): Promise<void> {
  const client = primary.client();
  await eventually(async () => (await client.info("replication")).includes("state=online"));
  client.disconnect();
}

const inReplica = async (name: string) => {
  const client = replica.client();
  const length = await client.xlen(`{${namespace}:q:${name}}:stream`);
  client.disconnect();
  return length;
};

test("what was answered for is in the replica, however many enqueue at once, and one question serves many", async () => {
  const client = primary.client();
  await client.config("RESETSTAT");
  await Promise.all([
    ...Array.from({ length: 200 }, () => queue.enqueue("many", jobs(1))),
    queue.enqueueOnce("many", [{ id: "one", name: "j", payload: "{}" }]),
  ]);
  expect(await inReplica("many")).toBe(201);
  const waits = Number(/cmdstat_wait:calls=(\d+)/.exec(await client.info("commandstats"))?.[1]);
  expect(waits).toBeGreaterThan(0);
  expect(waits).toBeLessThan(50);
  client.disconnect();
});

test("killed right after the answer, the primary takes nothing with it", async () => {
  const answered = await queue.enqueue("kept", jobs(10));
  await primary.kill();
  expect(await inReplica("kept")).toBe(answered.length);
  await primary.start();
  await synced();
  await eventually(() => queue.enqueue("kept", jobs(1)).then(Boolean, () => false));
});

test("a job that is one command is in the replica too when it is answered for, and refused while no replica answers", async () => {
  const client = primary.client();
  const scripts = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info("commandstats"))?.[1] ?? 0);
  // The first is a script, which tells how much room there is; one that follows within a second is not.
  let enqueued = 0;
  await eventually(async () => {
    await queue.enqueue("single", jobs(1));
    const before = await scripts();
    await queue.enqueue("single", jobs(1));
    enqueued += 2;
    return (await scripts()) === before;
  });
  expect(await inReplica("single")).toBe(enqueued);
  await queue.enqueue("single", jobs(1));
  process.kill(replica.pid(), "SIGSTOP");
  try {
    expect(await queue.enqueue("single", jobs(1)).catch((error: unknown) => error)).toHaveProperty(
      "code",
      "store_unavailable",
    );
  } finally {
    process.kill(replica.pid(), "SIGCONT");
  }
  await eventually(() => queue.enqueue("single", jobs(1)).then(Boolean, () => false));
  client.disconnect();
});

test("while no replica answers, an enqueue fails within two seconds and says why; without the option it does not wait", async () => {
  process.kill(replica.pid(), "SIGSTOP");
  try {
    const started = performance.now();
    const refused = [
      queue.enqueue("alone", jobs(1)),
      queue.enqueueOnce("alone", [{ id: "x", name: "j", payload: "{}" }]),
    ];
    for (const one of refused) {
      // One question may serve both, and its error then is one: toMatchObject would write into it.
      const error = await one.then(String, (thrown: unknown) => thrown as ScaleError);
      expect(error).toHaveProperty("code", "store_unavailable");
      expect(String(error)).toContain("not known to be in a replica: none said so within 1000ms");
    }
    expect(performance.now() - started).toBeLessThan(2_500);
    const careless = openQueue(primary.url, { namespace });
    await careless.enqueue("alone", jobs(1));
    await careless.close();
  } finally {
    process.kill(replica.pid(), "SIGCONT");
  }
  await eventually(() => queue.enqueue("alone", jobs(1)).then(Boolean, () => false));
});

test("a file on this machine has no replicas", () => {
  expect(() => openQueue("file:/tmp/never.db", { namespace, durability: "replicas" })).toThrow(
    "--queue-durability is replicas, and the queue is a file on this machine",
  );
});
