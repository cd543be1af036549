/** Redis behind Sentinels, through a failover: what kv and queue promise of a server that is replaced by another. On a real trio. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openKv } from "../../src/store/kv/open.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import { eventually } from "../harness/eventually.ts";
import { freshNamespace } from "../harness/redis.ts";
import { type Sentinels, startSentinels } from "../harness/sentinels.ts";
import { refusalBy } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const minute = 60_000;
const never = new AbortController().signal;
let sentinels: Sentinels;
beforeAll(async () => void (sentinels = await startSentinels()));
afterAll(() => sentinels.remove());

test("the primary that the Sentinels name is written to, whichever Sentinel is asked first", async () => {
  const namespace = freshNamespace();
  const kv = openKv(sentinels.url, { namespace });
  await kv.set("k", "v", minute);
  const client = (await sentinels.primary()).client();
  expect(await client.get(`{${namespace}:k}`)).toBe("v");
  client.disconnect();
  await kv.close();
});

test("after a primary is killed, kv and queue work on its successor with what was replicated, and a consumer that waited takes again", async () => {
  const namespace = freshNamespace();
  const kv = openKv(sentinels.url, { namespace });
  const queue = openQueue(sentinels.url, { namespace, durability: "replicas" });
  const consumer = queue.consumer("q", "ours");
  try {
    await kv.hashWrite("h", { set: { user: "7" } }, minute);
    const [held, kept] = await queue.enqueue("q", [
      { name: "held", payload: "{}" },
      { name: "kept", payload: "{}" },
    ]);
    const [lease] = await consumer.take(1, 1_000, never);
    expect(lease!.id).toBe(held!);
    const client = (await sentinels.primary()).client();
    await client.wait(2, 5_000);
    client.disconnect();
    const before = await sentinels.primary();
    await sentinels.failOver();
    expect((await sentinels.primary()).port).not.toBe(before.port);

    const answered = performance.now();
    await eventually(() => kv.set("after", "1", minute));
    expect(performance.now() - answered).toBeLessThan(3_000);
    expect(await kv.hashGetAll("h")).toEqual({ user: "7" });
    const taken = await eventually(async () => (await consumer.take(1, 500, never))[0]);
    expect(taken.id).toBe(kept!);
    expect(await consumer.settle([{ to: "completed", lease: taken }])).toEqual([]);
    const ids = await eventually(() => queue.enqueue("q", [{ name: "new", payload: "{}" }]));
    const next = await eventually(async () => (await consumer.take(1, 500, never))[0]);
    expect([next.id]).toEqual([...ids]);
  } finally {
    await queue.close();
    await kv.close();
  }
});

test("a name the Sentinels do not know, and a password that is wrong, are told as such and show no password", async () => {
  const wrong = [
    [sentinels.url.replace("/main?", "/other?"), "other of the Sentinels"],
    [sentinels.url.replace(/:\/\/:[^@]*@/, "://:hunter2@"), "WRONGPASS"],
  ] as const;
  for (const [url, told] of wrong) {
    const error = await refusalBy(url);
    expect(error).toContain(told);
    expect(error).not.toMatch(/hunter2|harness/);
  }
});
