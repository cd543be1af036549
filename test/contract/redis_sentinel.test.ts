/** Redis behind Sentinels, through a failover: what kv and queue promise of a server that is replaced by another. On a real trio. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openKv } from "../../src/store/kv/open.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Lease } from "../../src/store/queue/queue.ts";
import { startApplication } from "../harness/application.ts";
import { eventually } from "../harness/eventually.ts";
import { takeNow } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { type Sentinels, startSentinels } from "../harness/sentinels.ts";
import { refusalBy } from "../harness/stores.ts";

setDefaultTimeout(60_000);

const minute = 60_000;
const job = (name: string) => ({ name, payload: "{}" });
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

test("a primary that dies takes along what no replica has: nothing that --queue-durability=replicas has answered for", async () => {
  const namespace = freshNamespace();
  const application = await startApplication(sentinels.url);
  const careless = openQueue(sentinels.url, { namespace });
  const careful = openQueue(sentinels.url, { namespace, durability: "replicas" });
  const consumer = careless.consumer("q", "ours");
  const failures: string[] = [];
  const taken: { readonly lease: Lease; readonly at: number }[] = [];
  const end = new AbortController();
  const note = (error: unknown) => void failures.push(String(error));
  /** As producers and workers do: again and again, whatever fails. */
  const always = async (work: () => Promise<unknown>) => {
    while (!end.signal.aborted)
      await work().then(
        () => Bun.sleep(20),
        (error: unknown) => (note(error), Bun.sleep(100)),
      );
  };
  const loops = [
    always(() => careless.enqueue("q", [job("j")])),
    always(async () => {
      for (const lease of await consumer.take(10, 2_000, end.signal)) taken.push({ lease, at: performance.now() });
    }),
  ];
  try {
    const [kept] = await careful.enqueue("kept", [job("kept")]);
    await eventually(() => taken[0]);
    await sentinels.cutReplicasOff();
    const [lost] = await careless.enqueue("kept", [job("lost")]);
    const refused = await careful.enqueue("kept", [job("refused")]).then(String, String);
    expect(refused).toContain("not known to be in a replica");

    const announced = await sentinels.failOver();
    const first = await eventually(() => taken.find(({ at }) => at > announced));
    expect(first.at - announced).toBeLessThan(1_500);
    // On another connection than the one that took it, which may be back a little later.
    expect(await eventually(() => consumer.settle([{ to: "completed", lease: first.lease }]))).toEqual([]);
    expect(failures[0]).toMatch(/^ScaleError: Redis at .* could not (take jobs|enqueue): /);

    expect(await application.strangers()).toEqual([]);
    await application.untilCached();
    expect(application.lies()).toEqual([]);
    const still = await takeNow(careless.consumer("kept", "ours"));
    expect(still.map(({ id }) => id)).toEqual([kept!]);
    expect(still.map(({ id }) => id)).not.toContain(lost!);
    await eventually(() => careful.enqueue("kept", [job("safe")]));
  } finally {
    end.abort();
    await Promise.all(loops);
    await Promise.all([careless.close(), careful.close(), application.close()]);
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
