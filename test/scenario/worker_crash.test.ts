/** Jobs that block their worker's event loop, hang in it or kill it: what the heartbeat's thread and the count of starts are for. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { type ScaleProcess, type StartOptions, startScale } from "../harness/process.ts";
import { queueDrivers } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { freshTrace, readTrace } from "../harness/trace.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/crashing.ts`;

for (const [driver, urlOf] of Object.entries(queueDrivers)) {
  describe(`a worker that is blocked, hung or killed, on ${driver}`, () => {
    let queue: Queue;
    let url: string;
    let namespace: string;
    let file: string;
    beforeEach(async () => {
      url = await urlOf();
      namespace = freshNamespace();
      queue = openQueue(url, { namespace });
      file = freshTrace();
    });
    afterEach(() => queue.close());

    const worker = (flags: readonly string[] = [], options: StartOptions = {}): Promise<ScaleProcess> =>
      startScale(["--role=worker", entry, `--namespace=${namespace}`, `--redis-url=${url}`, ...flags], options);
    const enqueue = (name: string, count = 1, more: { ms?: number; kills?: number } = {}) =>
      queue.enqueue(
        "default",
        Array.from({ length: count }, () => ({ name, payload: JSON.stringify({ file, ...more }) })),
      );
    const depth = () => queue.stats("default");
    const begun = (name = "begin") => readTrace(file, name);

    test("a handler that blocks the loop for many leases is run once, and it is told and counted", async () => {
      await using blocked = await worker(["--job-lease=500ms", "--concurrency=1"]);
      const [id] = await enqueue("block", 1, { ms: 4_000 });
      await eventually(() => begun().length === 1);
      await using _ = await worker(["--job-lease=500ms"]);
      await eventually(() => begun("end").length === 1);
      await eventually(async () => (await depth()).running === 0);
      expect(begun().map((event) => [event.id, event.attempt])).toEqual([[id!, 1]]);
      const line = blocked.log().find((one) => one.includes("has blocked the event loop"));
      expect(line).toContain(id!.slice("default:".length));
      await eventually(async () => (await metric(blocked.adminUrl, "worker_blocked_total")) === 1);
    });

    test("what waits behind a blocked loop is handed back, and runs elsewhere as a first attempt", async () => {
      await using _ = await worker(["--concurrency=1", "--prefetch=4", "--job-lease=1s"]);
      // Jobs of no time let it prefetch; then one blocks with others behind it.
      await enqueue("work", 1_500);
      const [blocking, ...others] = await queue.enqueue("default", [
        { name: "block", payload: JSON.stringify({ file, ms: 5_000 }) },
        ...Array.from({ length: 3 }, () => ({ name: "work", payload: JSON.stringify({ file }) })),
      ]);
      await eventually(() => begun().some(({ id }) => id === blocking));
      await using other = await worker(["--concurrency=1", "--job-lease=1s"]);
      await eventually(() => others.every((id) => begun("end").some((event) => event.id === id)));
      expect(begun("end").some(({ id }) => id === blocking)).toBe(false);
      const elsewhere = begun().filter(({ id }) => others.includes(id));
      expect(elsewhere.map(({ pid, attempt }) => [pid, attempt])).toEqual(others.map(() => [other.pid, 1]));
      await eventually(() => begun("end").some(({ id }) => id === blocking));
      await eventually(async () => (await depth()).running === 0);
      expect(begun()).toHaveLength(1_504);
    });

    test("a job that kills its worker three times goes to the dead letters, and no neighbour with it", async () => {
      const [poison] = await enqueue("poison");
      const innocent = await enqueue("work", 6, { ms: 300 });
      for (let deaths = 0; deaths < 3; deaths++) {
        const victim = await worker(["--concurrency=4", "--job-lease=500ms"], { ready: false });
        await eventually(() => begun().filter(({ id }) => id === poison).length === deaths + 1);
        await victim.stop();
      }
      await using _ = await worker(["--concurrency=4", "--job-lease=500ms"], {
        expectErrors: [/poison goes to the dead letters/],
      });
      await eventually(async () => (await depth()).dead === 1, { timeout: 15_000 });
      const [letter] = await queue.deadLetters("default", 1);
      expect(letter).toMatchObject({ id: poison, name: "poison", attempts: 3 });
      expect(letter!.reason).toBe("its worker died or hung 3 times in a row, the last time with nothing else running");
      await eventually(() => innocent.every((id) => begun("end").some((event) => event.id === id)));
      expect(
        begun()
          .filter(({ id }) => id === poison)
          .map(({ attempt }) => attempt),
      ).toEqual([1, 2, 3]);
      await eventually(async () => (await depth()).running === 0);
      expect(await depth()).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 1 });
    });

    test("a job under suspicion runs alone, and others only after it has shown itself", async () => {
      const [suspect] = await enqueue("poison", 1, { kills: 1 });
      const victim = await worker(["--concurrency=1", "--job-lease=500ms"], { ready: false });
      await eventually(() => begun().length === 1);
      await victim.stop();
      await enqueue("work", 20, { ms: 20 });
      await using _ = await worker(["--concurrency=3", "--job-lease=500ms"]);
      await eventually(() => begun("end").length === 21);
      const events = readTrace(file);
      const at = events.findLastIndex(({ id, event }) => id === suspect && event === "begin");
      const open = new Set<string>();
      for (const { id, event } of events.slice(1, at)) {
        if (event === "begin") open.add(id);
        else open.delete(id);
      }
      expect([...open]).toEqual([]);
      expect(events[at + 1]).toMatchObject({ id: suspect, event: "end", attempt: 2 });
    });

    test("a process that was stopped for longer than the lease aborts what it lost, and records nothing of it", async () => {
      const paused = await worker(["--concurrency=1", "--job-lease=500ms"]);
      const [id] = await enqueue("wait");
      await eventually(() => begun().length === 1);
      process.kill(paused.pid, "SIGSTOP");
      await using _ = await worker(["--concurrency=1", "--job-lease=500ms"]);
      await eventually(() => begun().length === 2);
      process.kill(paused.pid, "SIGCONT");
      await eventually(() => begun("told").length === 1);
      expect(begun("told")).toMatchObject([{ id, pid: paused.pid, attempt: 1 }]);
      await Bun.write(`${file}.go`, "");
      await eventually(() => begun("end").length === 1);
      await eventually(async () => (await depth()).running === 0);
      expect(begun("end")).toMatchObject([{ id, attempt: 2 }]);
      expect(await paused.stop()).toBe(0);
    });
  });
}

test("a job that hangs beyond its timeout is ended with its process, and runs elsewhere", async () => {
  const url = await queueDrivers["redis"]!();
  const namespace = freshNamespace();
  const queue = openQueue(url, { namespace });
  const file = freshTrace();
  const flags = ["--role=worker", entry, `--namespace=${namespace}`, `--redis-url=${url}`, "--job-lease=1s"];
  const hung = await startScale(flags, { expectErrors: [/blocks the event loop beyond its timeout/] });
  const [id] = await queue.enqueue("default", [{ name: "hang", payload: JSON.stringify({ file }) }]);
  await eventually(() => readTrace(file, "begin").length === 1);
  await using _ = await startScale(flags);
  await eventually(() => readTrace(file, "end").length === 1, { timeout: 20_000 });
  expect(readTrace(file, "end")).toMatchObject([{ id, attempt: 2 }]);
  expect(hung.log().some((line) => line.includes("blocks the event loop beyond its timeout"))).toBe(true);
  await hung.stop();
  await queue.close();
});

test("a worker that is killed: all its jobs run elsewhere within 15 s, as it comes out of the box", async () => {
  const flags = [
    "--role=worker",
    entry,
    `--namespace=${freshNamespace()}`,
    `--redis-url=${await queueDrivers["redis"]!()}`,
  ];
  const queue = openQueue(flags[3]!.slice("--redis-url=".length), {
    namespace: flags[2]!.slice("--namespace=".length),
  });
  const file = freshTrace();
  const victim = await startScale(flags);
  const ids = await queue.enqueue(
    "default",
    Array.from({ length: 10 }, () => ({ name: "wait", payload: JSON.stringify({ file }) })),
  );
  await eventually(() => readTrace(file, "begin").length === ids.length);
  await using other = await startScale(flags);
  victim.kill("SIGKILL");
  const killedAt = performance.now();
  const again = () => readTrace(file, "begin").filter(({ pid }) => pid === other.pid);
  await eventually(() => again().length === ids.length, { timeout: 20_000 });
  expect(performance.now() - killedAt).toBeLessThan(15_000);
  expect(again().every(({ attempt }) => attempt === 2)).toBe(true);
  await Bun.write(`${file}.go`, "");
  await eventually(async () => (await queue.stats("default")).running === 0);
  await victim.stop();
  await queue.close();
});
