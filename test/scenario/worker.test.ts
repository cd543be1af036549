/** Role worker as an operator meets it: real processes, killed, stopped and restarted, on the real Redis and on a SQLite file. */
import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { runScale, type ScaleProcess, type StartOptions, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/jobs.ts`;
const directory = mkdtempSync(join(tmpdir(), "scale-worker-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const drivers = {
  redis: async () => (await sharedRedis()).url,
  sqlite: () => Promise.resolve(`file:${directory}/queue.sqlite`),
};

interface Event {
  readonly event: string;
  readonly id: string;
  readonly attempt: number;
  readonly pid: number;
}

let files = 0;
let file = "";
beforeEach(() => {
  file = `${directory}/trace-${++files}`;
});

/** What the jobs of this test have noted. */
function trace(event?: string): readonly Event[] {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  const events = text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [what = "", id = "", attempt, pid] = line.split(" ");
      return { event: what, id, attempt: Number(attempt), pid: Number(pid) };
    });
  return event === undefined ? events : events.filter((one) => one.event === event);
}

for (const [driver, urlOf] of Object.entries(drivers)) {
  describe(`role worker on ${driver}`, () => {
    let queue: Queue;
    let url: string;
    let namespace: string;
    beforeEach(async () => {
      url = await urlOf();
      namespace = freshNamespace();
      queue = openQueue(url, { namespace });
    });
    afterEach(() => queue.close());

    const worker = (flags: readonly string[] = [], options: StartOptions = {}): Promise<ScaleProcess> =>
      startScale(["--role=worker", entry, `--namespace=${namespace}`, `--redis-url=${url}`, ...flags], options);
    const enqueue = (name: string, count = 1, more: { ms?: number } = {}) =>
      queue.enqueue(
        "default",
        Array.from({ length: count }, () => ({ name, payload: JSON.stringify({ file, ...more }) })),
      );
    const depth = async () => queue.stats("default");

    test("kill -9 in the middle of jobs: each runs to completion, none is lost", async () => {
      const flags = ["--concurrency=5", "--job-lease=1s"];
      await using survivor = await worker(flags);
      const victim = await worker(flags);
      const ids = await enqueue("work", 60, { ms: 100 });
      await eventually(() => trace("begin").some(({ pid }) => pid === victim.pid));
      victim.kill("SIGKILL");
      await victim.stop();
      await eventually(() => trace("end").length >= ids.length, { timeout: 20_000, what: "every job's end" });
      await eventually(async () => (await depth()).running === 0);

      const ended = new Set(trace("end").map(({ id }) => id));
      expect(ended).toEqual(new Set(ids));
      const cut = trace("begin").filter(({ pid, id }) => pid === victim.pid && !endedBy(victim.pid, id));
      expect(cut.length).toBeGreaterThan(0);
      expect(await depth()).toEqual({ waiting: 0, delayed: 0, running: 0, dead: 0 });
      // Only what the victim held ran twice, and its second attempt is counted as such.
      const again = trace("begin").filter(({ attempt }) => attempt > 1);
      expect(again.every(({ pid }) => pid === survivor.pid)).toBe(true);
      expect(cut.every(({ id }) => again.some((one) => one.id === id))).toBe(true);
      expect(await metric(survivor, "jobs_recovered_total")).toBeGreaterThanOrEqual(cut.length);
    });

    const endedBy = (pid: number, id: string) => trace("end").some((one) => one.pid === pid && one.id === id);

    test("every worker killed, one after the other: a later one finishes the work", async () => {
      const ids = await enqueue("work", 12, { ms: 150 });
      for (let round = 0; round < 2; round++) {
        const victim = await worker(["--concurrency=3", "--job-lease=500ms"]);
        await eventually(() => trace("begin").some(({ pid }) => pid === victim.pid));
        victim.kill("SIGKILL");
        await victim.stop();
      }
      await using last = await worker(["--concurrency=3", "--job-lease=500ms"]);
      await eventually(() => new Set(trace("end").map(({ id }) => id)).size === ids.length, { timeout: 20_000 });
      expect(last.pid).toBeGreaterThan(0);
    });

    test("a job of one attempt runs to completion too: the worker that died with it may never have begun it", async () => {
      const ids = await enqueue("once", 6, { ms: 150 });
      const victim = await worker(["--concurrency=6", "--job-lease=500ms"]);
      await eventually(() => trace("begin").length === ids.length);
      victim.kill("SIGKILL");
      await victim.stop();
      await using _ = await worker(["--job-lease=500ms"]);
      await eventually(() => new Set(trace("end").map(({ id }) => id)).size === ids.length);
      await eventually(async () => (await depth()).running === 0);
      expect(await depth()).toMatchObject({ waiting: 0, delayed: 0, dead: 0 });
    });

    test("SIGTERM: what runs is finished, what waits is left for others as if never touched, exit 0", async () => {
      const stopping = await worker(["--concurrency=3"]);
      const ids = await enqueue("work", 9, { ms: 400 });
      await eventually(() => trace("begin").length >= 3);
      expect(await stopping.stop()).toBe(0);
      const finished = trace("end").map(({ id }) => id);
      expect(finished.length).toBe(trace("begin").length);
      expect(await depth()).toMatchObject({ waiting: ids.length - finished.length, running: 0 });

      await using next = await worker(["--concurrency=9"]);
      await eventually(() => trace("end").length === ids.length);
      expect(trace("begin").every(({ attempt }) => attempt === 1)).toBe(true);
      expect(next.log().some((line) => line.includes("went silent"))).toBe(false);
    });

    test("SIGTERM: what outlasts the drain timeout is told to stop and handed back, the attempt not counted", async () => {
      const [told] = await enqueue("obedient");
      const [deaf] = await enqueue("work", 1, { ms: 60_000 });
      const stopping = await worker(["--drain-timeout=200ms"]);
      await eventually(() => trace("begin").length === 2);
      expect(await stopping.stop()).toBe(0);
      expect(trace("told").map(({ id }) => id)).toEqual([told!]);
      expect(await depth()).toMatchObject({ waiting: 2, running: 0, delayed: 0 });
      const leases = await queue.consumer("default", "test").take(2, 1_000, new AbortController().signal);
      expect(new Set(leases.map(({ id }) => id))).toEqual(new Set([told!, deaf!]));
      expect(leases.map(({ attempts, deliveries }) => [attempts, deliveries])).toEqual([
        [0, 1],
        [0, 1],
      ]);
    });

    test("a handler that throws is tried again under the same id, and in the end becomes a dead letter", async () => {
      await using running = await worker([], { expectErrors: [/job fail goes to the dead letters/] });
      const [flaky] = await enqueue("flaky");
      const [fails] = await enqueue("fail");
      await eventually(async () => (await depth()).dead === 1 && trace("end").length === 1);
      expect(
        trace()
          .filter(({ id }) => id === flaky)
          .map(({ attempt }) => attempt),
      ).toEqual([1, 2, 3]);
      expect(
        trace()
          .filter(({ id }) => id === fails)
          .map(({ attempt }) => attempt),
      ).toEqual([1, 2, 3]);
      const [letter] = await queue.deadLetters("default", 1);
      expect(letter).toMatchObject({
        id: fails,
        name: "fail",
        attempts: 3,
        reason: expect.stringContaining("attempt 3"),
      });
      const results = (result: string) => `jobs_processed_total{queue="default",job="fail",result="${result}"}`;
      await eventually(async () => (await metric(running, results("discarded"))) === 1);
      expect(await metric(running, results("retried"))).toBe(2);
      const lines = running.log().filter((line) => line.includes('"job":"fail"') && line.includes('"reason"'));
      // Whoever has to find out why sees where it was thrown, each time.
      expect(lines.map((line) => /"stack":"Error: attempt \d.*?fixtures\/jobs\.ts:\d+/.test(line))).toEqual([
        true,
        true,
        true,
      ]);
      expect(running.log().join("\n")).not.toContain("hunter2");
    });

    test("a handler that runs too long has its signal aborted, and the attempt failed", async () => {
      await using _ = await worker([], { expectErrors: [/job slow goes to the dead letters/] });
      await enqueue("slow");
      await eventually(async () => (await depth()).dead === 1);
      expect(trace("TimeoutError").map(({ attempt }) => attempt)).toEqual([1, 2]);
      const [letter] = await queue.deadLetters("default", 1);
      expect(letter?.reason).toBe("it ran longer than its timeout of 50ms");
    });

    test("a job nobody here knows goes back delayed, never to the dead letters, and its attempt does not count", async () => {
      await using running = await worker();
      const [unknown] = await queue.enqueue("default", [{ name: "from_the_future", payload: "{}" }]);
      await eventually(async () => (await depth()).delayed === 1);
      expect(await depth()).toEqual({ waiting: 0, delayed: 1, running: 0, dead: 0 });
      await eventually(() => running.log().join("\n").includes("no job here is named from_the_future"));
      await makeDue(driver, url, namespace);
      const postponed = 'jobs_processed_total{queue="default",job="unknown",result="postponed"}';
      await eventually(async () => (await metric(running, postponed)) === 2);
      expect(await depth()).toMatchObject({ delayed: 1, dead: 0 });
      await stopped(running);
      await makeDue(driver, url, namespace);
      const consumer = queue.consumer("default", "test");
      await consumer.promote(10);
      const [lease] = await consumer.take(1, 1_000, new AbortController().signal);
      expect(lease).toMatchObject({ id: unknown, attempts: 0, deliveries: 1 });
    });

    test("a job enqueues another, in its own context; queues of all jobs are served", async () => {
      await using running = await worker();
      const [id] = await queue.enqueue("other", [{ name: "chain", payload: JSON.stringify({ file }) }]);
      await eventually(() => trace("end").length === 1);
      expect(trace()[0]!.event).toContain("was_called_in_a_job");
      const line = running.log().find((one) => one.includes("a line of a job"));
      expect(JSON.parse(line!)).toMatchObject({ job: "chain", jobId: id, attempt: 1, mark: "chained" });
      await eventually(() => running.log().some((one) => one.includes('"message":"job"') && one.includes(id!)));
      await eventually(async () => (await metric(running, 'job_wait_seconds_count{queue="default",job="work"}')) === 1);
      expect(await metric(running, 'job_duration_seconds_count{queue="other",job="chain"}')).toBe(1);
    });
  });
}

test("Redis killed and started again: taking resumes by itself, and readiness says what is true", async () => {
  const redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
  const namespace = freshNamespace();
  const queue = openQueue(redis.url, { namespace });
  await using running = await startScale([
    "--role=worker",
    entry,
    `--namespace=${namespace}`,
    `--redis-url=${redis.url}`,
    "--job-lease=1s",
  ]);
  const ready = async () => (await fetch(`${running.adminUrl}/readyz`)).ok;
  const payload = JSON.stringify({ file, ms: 300 });
  const before = await queue.enqueue("default", [{ name: "work", payload }]);
  await eventually(() => trace("begin").length === 1);
  await redis.kill();
  await eventually(async () => !(await ready()), { timeout: 15_000 });
  await redis.start();
  const back = performance.now();
  const after = await eventually(() => queue.enqueue("default", [{ name: "work", payload }]).catch(() => undefined));
  await eventually(() => trace("begin").some(({ id }) => id === after[0]));
  expect(performance.now() - back).toBeLessThan(1_500);
  await eventually(ready);
  await eventually(async () => (await queue.stats("default")).running === 0);
  expect(new Set(trace("end").map(({ id }) => id))).toEqual(new Set([...before, ...after]));
  await queue.close();
  await running.stop();
  await redis.remove();
}, 60_000);

test("a Redis that may lose jobs is warned about, and refused with --strict", async () => {
  const redis = await startRedis({ "maxmemory-policy": "allkeys-lru" });
  const flags = ["--role=worker", entry, `--redis-url=${redis.url}`];
  const warned = await startScale(flags);
  const log = warned.log().join("\n");
  expect(log).toContain("maxmemory-policy is allkeys-lru, a queue needs noeviction");
  expect(log).toContain("it has no append-only file");
  await warned.stop();
  const { code, stderr } = await runScale([...flags, "--strict"]);
  expect(code).toBe(78);
  expect(stderr).toContain("the queue's store may lose jobs: Redis deletes jobs when its memory is full");
  await redis.remove();
});

test("a worker without a queue, and jobs that are none, say so at once", async () => {
  const failing = startScale(["--role=worker", entry], { ready: "listening" });
  expect(failing).rejects.toThrow(/role worker needs a queue, and none is configured[^]*--redis-url=/);
  await failing.catch(() => undefined);
});

async function metric(running: ScaleProcess, series: string): Promise<number> {
  const text = await (await fetch(`${running.adminUrl}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

async function stopped(running: ScaleProcess): Promise<void> {
  expect(await running.stop()).toBe(0);
}

/** Time passes for every delayed job of the default queue. */
async function makeDue(driver: string, url: string, namespace: string): Promise<void> {
  if (driver === "sqlite") {
    const database = new Database(url.slice("file:".length));
    database.run("PRAGMA busy_timeout = 2000");
    const due = "UPDATE job SET at = 1 WHERE queue = ? AND state IN ('scheduled', 'retryable')";
    database.query(due).run(`${namespace}:default`);
    database.close();
    return;
  }
  const client = (await sharedRedis()).client();
  const delayed = `{${namespace}:q:default}:delayed`;
  for (const id of await client.zrange(delayed, "0", "-1")) await client.zadd(delayed, "1", id);
  client.disconnect();
}
