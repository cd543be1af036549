/** Jobs watched and steered while real workers run them: progress, results, cancelling, pausing, what is kept. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { queueDrivers } from "../harness/queues.ts";
import { freshNamespace } from "../harness/redis.ts";
import { freshTrace, readTrace } from "../harness/trace.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/steered.ts`;
interface Status {
  readonly state: string;
  readonly attempts: number;
  readonly progress?: { readonly percent: number };
  readonly result?: unknown;
}

for (const [driver, urlOf] of Object.entries(queueDrivers)) {
  describe(`steering jobs on ${driver}`, () => {
    let queue: Queue;
    let flags: readonly string[];
    let file: string;
    beforeEach(async () => {
      const url = await urlOf();
      const namespace = freshNamespace();
      file = freshTrace();
      queue = openQueue(url, { namespace });
      flags = [`--namespace=${namespace}`, `--redis-url=${url}`];
    });
    afterEach(() => queue.close());

    const worker = (...more: readonly string[]) => startScale(["--role=worker", entry, ...flags, ...more]);
    const app = () => startScale(["--role=app", entry, ...flags, "--drain-delay=0"]);
    const noted = (event: string) => readTrace(file, event);
    const enqueue = async (name: string, count = 1, more = {}) =>
      queue.enqueue(
        "default",
        Array.from({ length: count }, () => ({ name, payload: JSON.stringify({ file, ...more }) })),
      );
    const stateOf = async (running: ScaleProcess, path: string) =>
      (await (await fetch(`${running.url}${path}`)).json()) as Status;

    test("an application asks how far a job is, and what it returned", async () => {
      await using serving = await app();
      await using running = await worker();
      const trace = "0af7651916cd43dd8448eb211c80319c";
      const posted = await fetch(`${serving.url}/report`, {
        method: "POST",
        headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` },
        body: JSON.stringify({ file, rows: 7 }),
      });
      const { id } = (await posted.json()) as { id: string };
      const status = () => stateOf(serving, `/report/${id}`);
      const early = await eventually(async () => {
        const now = await status();
        return now.progress === undefined ? undefined : now;
      });
      expect(early).toMatchObject({ state: "running", attempts: 1 });
      await eventually(async () => ((await status()).progress?.percent ?? 0) > early.progress!.percent);
      // By its own kind only: an id must not open other jobs.
      expect(await stateOf(serving, `/brief/${id}`)).toMatchObject({ state: "none" });
      writeFileSync(`${file}.go`, "");
      await eventually(async () => (await status()).state === "completed");
      expect(await status()).toEqual({
        id,
        state: "completed",
        attempts: 1,
        result: { url: `/reports/${id}`, rows: 7 },
      } as Status);
      const line = await eventually(() => running.log().find((one) => one.includes('"message":"job"')));
      expect(JSON.parse(line)).toMatchObject({ jobId: id, attempt: 1, result: "completed", trace });
    });

    test("a running job is told to stop within a second, whichever worker runs it, and is not tried again", async () => {
      await using serving = await app();
      await using _ = await worker();
      await using another = await worker();
      expect(another.pid).toBeGreaterThan(0);
      const [id] = await enqueue("endless");
      await eventually(() => noted("begin").length === 1);
      const asked = performance.now();
      const answer = await fetch(`${serving.url}/endless/${id}`, { method: "DELETE" });
      expect(await answer.json()).toEqual({ answer: "cancelling" });
      await eventually(() => noted("told:cancelled").length === 1);
      expect(performance.now() - asked).toBeLessThan(1_500);
      await eventually(async () => (await stateOf(serving, `/endless/${id}`)).state === "cancelled");
      expect(noted("begin")).toHaveLength(1);
      expect(await queue.stats("default")).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
      expect((await queue.inspector.overview("default")).counts).toMatchObject({ cancelled: 1, retried: 0 });
      expect(await (await fetch(`${serving.url}/endless/${id}`, { method: "DELETE" })).json()).toEqual({
        answer: "ended",
      });
    });

    test("an order outlives the worker it was meant for", async () => {
      const victim = await worker("--job-lease=1s");
      const [id] = await enqueue("endless");
      await eventually(() => noted("begin").length === 1);
      victim.kill("SIGSTOP");
      expect(await queue.inspector.cancel(id!)).toBe("cancelling");
      victim.kill("SIGKILL");
      await victim.stop();
      await using _ = await worker("--job-lease=1s");
      await eventually(async () => (await queue.inspector.find(id!))?.place === "done", { timeout: 15_000 });
      expect((await queue.inspector.overview("default")).counts.cancelled).toBe(1);
    });

    test("while a queue is paused no worker starts a job of it; what runs is finished, and all goes on after", async () => {
      const slots = ["--concurrency=2"];
      await using one = await worker(...slots);
      await using two = await worker(...slots);
      await enqueue("brief", 40, { ms: 100 });
      await eventually(() => noted("end").length >= 4);
      await queue.inspector.pause("default");
      await eventually(async () => {
        const { running, waiting } = await queue.inspector.overview("default");
        return running === 0 && waiting > 0;
      });
      const begun = noted("begin").length;
      expect(noted("end")).toHaveLength(begun);
      await Bun.sleep(700);
      expect(noted("begin")).toHaveLength(begun);
      for (const paused of [one, two]) expect((await fetch(`${paused.adminUrl}/readyz`)).ok).toBe(true);
      await queue.inspector.resume("default");
      await eventually(() => noted("end").length === 40, { timeout: 20_000 });
      expect(noted("begin").every(({ attempt }) => attempt === 1)).toBe(true);
    });

    test("what ended is kept as long as its job says, or as its worker is told", async () => {
      await using running = await worker("--job-completed-max=3");
      const [gone] = await enqueue("forgotten");
      const [wordy] = await enqueue("wordy");
      const ids = await enqueue("brief", 6, { ms: 0 });
      await eventually(async () => (await queue.inspector.overview("default")).counts.completed === 8);
      expect((await queue.inspector.overview("default")).done).toBe(3);
      expect(await queue.inspector.find(gone!)).toBeUndefined();
      const kept = await Promise.all([wordy!, ...ids].map((id) => queue.inspector.find(id)));
      expect(kept.filter(Boolean)).toHaveLength(3);
      expect(running.log().join("\n")).toContain("what job wordy returns is not kept as its result: it is 20002 bytes");
    });

    test("the metrics say what waits, how old it is, and what became of jobs", async () => {
      await queue.inspector.pause("default");
      await using running = await worker();
      const metric = async (series: string) => {
        const text = await (await fetch(`${running.adminUrl}/metrics`)).text();
        return Number(
          text
            .split("\n")
            .find((line) => line.startsWith(`${series} `))
            ?.slice(series.length + 1),
        );
      };
      const [id] = await enqueue("brief", 1, { ms: 0 });
      await eventually(async () => (await metric('queue_oldest_seconds{queue="default"}')) > 0, { timeout: 15_000 });
      expect(await metric('queue_paused{queue="default"}')).toBe(1);
      expect(await metric('queue_jobs{queue="default",state="waiting"}')).toBe(1);
      await queue.inspector.resume("default");
      await eventually(async () => (await metric('queue_jobs{queue="default",state="done"}')) === 1, {
        timeout: 15_000,
      });
      expect(await metric('queue_oldest_seconds{queue="default"}')).toBe(0);
      // While the queue was paused it may have been handed back, which is a line too.
      const lines = running.log().filter((one) => one.includes('"message":"job"') && one.includes(id!));
      expect(JSON.parse(lines.at(-1)!)).toMatchObject({ job: "brief", attempt: 1, result: "completed" });
    });
  });
}
