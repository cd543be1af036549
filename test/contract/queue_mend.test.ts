/** What becomes of places at gates whose holders vanished: by hand, or with a version of scale that knows no gates. Each driver its own way. */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { takeAll, takeNow } from "../harness/queues.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const gates = [{ name: "key:a", max: 1, keep: true } as const, { name: "rate:j", max: 5, per: 10 }];
const jobs = (payloads: string) => Array.from(payloads, (payload) => ({ name: "j", payload, gates }));

/** One job vanishes while it waits, one while it runs; the third must still have its turn, and then nothing is left. */
async function vanishing(
  queue: Queue,
  vanish: (id: string) => unknown,
  placesLeft: () => number | Promise<number>,
): Promise<void> {
  const consumer = queue.consumer("q", "ours");
  const ids = await queue.enqueue("q", jobs("123"));
  await vanish(ids[0]!);
  expect(await takeNow(consumer)).toEqual([]);
  await consumer.prune();
  const [second] = await takeAll(consumer, 1);
  expect(second!.id).toBe(ids[1]!);
  await consumer.begin([{ lease: second!, alone: false }]);
  await vanish(second!.id);
  expect(await takeNow(consumer)).toEqual([]);
  await consumer.prune();
  const [third] = await takeAll(consumer, 1);
  expect(third!.id).toBe(ids[2]!);
  await consumer.begin([{ lease: third!, alone: false }]);
  await consumer.settle([{ to: "completed", lease: third! }]);
  // What time gives back is given back when somebody looks.
  await eventually(async () => {
    await consumer.prune();
    return (await placesLeft()) === 0;
  });
}

test("on redis: entries deleted by hand give their places back when a worker tidies, and no key of a gate is left", async () => {
  const redis = await sharedRedis();
  const namespace = freshNamespace();
  const queue = openQueue(redis.url, { namespace });
  const client = redis.client();
  const key = (name: string) => `{${namespace}:q:q}:${name}`;
  const vanish = async (id: string) => {
    const entry = (await client.hget(key("moved"), id.slice("q:".length)))!;
    await client.xack(key("stream"), "workers", entry);
    await client.xdel(key("stream"), entry);
  };
  const keysLeft = () => client.exists(["gated", "places", "windows", "parked", "parked:jobs"].map(key));
  await vanishing(queue, vanish, keysLeft);
  client.disconnect();
  await queue.close();
});

test("on sqlite: rows deleted by hand give their places back when a worker tidies, and no place is left", async () => {
  const path = `${temporaryDirectory("mend")}/queue.db`;
  const queue = openQueue(`file:${path}`, { namespace: "n" });
  const database = new Database(path);
  const vanish = (id: string) => database.query("DELETE FROM job WHERE id = ?1").run(id.slice("q:".length));
  await vanishing(queue, vanish, () => database.query("SELECT 1 FROM job_place").all().length);
  expect(await queue.inspector.overview("q")).toMatchObject({ parked: 0, delayed: 0, waiting: 0, running: 0 });
  database.close();
  await queue.close();
});
