/** `scale jobs` as an operator types it: the real binary, with the queue's address and nothing else. */
import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Consumer, NewJob, Queue } from "../../src/store/queue/queue.ts";
import { runScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "scale-jobs-cli-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const hour = 3_600_000;
const payload = '{"to":"ada@example.com","password":"hunter2"}';
const never = new AbortController().signal;

const drivers = {
  redis: async () => (await sharedRedis()).url,
  sqlite: () => Promise.resolve(`file:${directory}/queue.sqlite`),
};

for (const [driver, urlOf] of Object.entries(drivers)) {
  describe(`scale jobs on ${driver}`, () => {
    let url: string;
    let namespace: string;
    let queue: Queue;
    let consumer: Consumer;
    beforeEach(async () => {
      await queue?.close();
      url = await urlOf();
      namespace = freshNamespace();
      queue = openQueue(url, { namespace });
      consumer = queue.consumer("mail", "test");
    });
    afterAll(() => queue.close());

    const jobs = (...words: string[]) =>
      runScale(["jobs", ...words, `--namespace=${namespace}`], { env: { REDIS_URL: url }, cwd: directory });
    const json = async <T>(...words: string[]): Promise<T> => JSON.parse((await jobs(...words, "--json")).stdout) as T;
    const enqueue = (...added: Partial<NewJob>[]) =>
      queue.enqueue(
        "mail",
        added.map((more) => Object.assign({ name: "send", payload }, more)),
      );
    const die = async (jobsToDie: number) => {
      for (const lease of await consumer.take(jobsToDie, 1_000, never)) {
        const reason = "550 \u001b[2J at smtp://u:hunter2@relay";
        await consumer.settle([{ to: "discarded", lease, attempts: 10, reason }]);
      }
    };

    test("ls lists what is there, by state, name, id and age, page by page", async () => {
      const [dead] = await enqueue({ name: "broken" });
      await die(1);
      const [one, two, late] = await enqueue({}, {}, { delayMs: hour });
      const table = await jobs("ls");
      expect(table.code).toBe(0);
      const lines = table.stdout.trimEnd().split("\n");
      expect(lines[0]).toMatch(/^ID +STATE +JOB +ATTEMPTS +SINCE +REASON$/);
      expect(lines.slice(1).map((line) => line.split(/ {2,}/).slice(0, 4))).toEqual([
        [one!, "available", "send", "0"],
        [two!, "available", "send", "0"],
        [late!, "scheduled", "send", "0"],
        [dead!, "discarded", "broken", "10"],
      ]);
      expect(lines[4]).toContain("550 \\x1b[2J at smtp://u:•••@relay");
      expect(lines[3]).toMatch(/in \d+m\d+s/);
      const ids = async (...words: string[]) =>
        (await json<{ jobs: { id: string }[] }>("ls", ...words)).jobs.map(({ id }) => id);
      expect(await ids("--state=discarded", "--state=scheduled")).toEqual([late!, dead!]);
      expect(await ids("--job=broken", "--queue=mail")).toEqual([dead!]);
      expect(await ids(`--id-prefix=${two}`)).toEqual([two!]);
      expect(await ids("--older-than=1h")).toEqual([]);
      const first = await json<{ jobs: { id: string }[]; next: string }>("ls", "--limit=3");
      expect(first.jobs).toHaveLength(3);
      expect(await ids("--limit=3", `--cursor=${first.next}`)).toEqual([dead!]);
      expect((await jobs("ls", "--limit=3")).stdout).toContain(`there are more: --cursor=${first.next}`);
    });

    test("show tells all there is to one job, secrets masked", async () => {
      const [id] = await enqueue({ unique: "send:7" });
      await die(1);
      const { stdout } = await jobs("show", id!);
      expect(stdout).toContain(`id            ${id}`);
      expect(stdout).toMatch(/state +discarded/);
      expect(stdout).toContain('"to": "ada@example.com"');
      expect(stdout).toContain("discarded, attempt 10: 550");
      expect(stdout).not.toContain("hunter2");
      expect(stdout).not.toContain("\u001b");
      expect(await json<object>("show", id!)).toMatchObject({
        id,
        state: "discarded",
        job: "send",
        unique: "send:7",
        payload: { to: "ada@example.com", password: "[redacted]" },
        history: [{ to: "discarded", attempt: 10 }],
      });
      expect((await jobs("show", id!, "--redact=to")).stdout).toContain('"to": "[redacted]"');
    });

    test("retry, redrive and discard move dead letters, and say what became of each", async () => {
      const ids = await enqueue({}, {}, {}, { name: "other" });
      await die(4);
      const retried = await jobs("retry", ids[0]!);
      expect(retried).toMatchObject({ code: 0, stdout: `${ids[0]}  retried\n1 of 1 jobs\n` });
      const again = await jobs("retry", ids[0]!, "mail:1-0");
      expect(again.code).toBe(1);
      expect(again.stdout).toBe(`${ids[0]}  NOT retried: it waits or runs already\nmail:1-0  NOT FOUND\n0 of 2 jobs\n`);
      expect((await jobs("discard", "--job=other")).stdout).toBe(`${ids[3]}  discarded\n1 of 1 jobs\n`);
      expect(await json("redrive", "--queue=mail", "--limit=1")).toEqual([{ id: ids[2]!, outcome: "retried" }]);
      expect((await jobs("redrive")).stdout).toContain("1 of 1 jobs");
      expect(await queue.stats("mail")).toMatchObject({ waiting: 3, dead: 0 });
    });

    test("cancel ends waiting and delayed jobs at once, and tells the worker of a running one", async () => {
      const ids = await enqueue({}, {}, { delayMs: hour });
      const [lease] = await consumer.take(1, 1_000, never);
      const { stdout, code } = await jobs("cancel", ...ids);
      expect(code).toBe(0);
      expect(stdout.split("\n").slice(0, 3)).toEqual([
        `${ids[0]}  its worker is told to stop it`,
        `${ids[1]}  cancelled`,
        `${ids[2]}  cancelled`,
      ]);
      expect((await consumer.orders()).cancelled).toEqual([lease!.id]);
      expect((await jobs("cancel", "--state=available")).stdout).toBe("0 of 0 jobs\n");
    });

    test("pause and resume hold a queue, and stats says so", async () => {
      await enqueue({}, {}, { delayMs: hour });
      await die(1);
      await queue.enqueue("other", [{ name: "j", payload: "{}" }]);
      expect(await jobs("pause", "mail")).toMatchObject({ code: 0 });
      expect((await consumer.orders()).paused).toBe(true);
      const stats = (await jobs("stats")).stdout.split("\n");
      expect(stats[0]).toMatch(/^QUEUE +WAITING +PARKED +RUNNING +DELAYED +DEAD +KEPT/);
      expect(stats[1]).toMatch(/^mail +1 +0 +0 +1 +1 +0 +\S+ +0 +0 +1 +0 +paused .* ago$/);
      expect(stats[2]).toMatch(/^other +1 +0 +0 +0 +0 +0/);
      expect(await json("stats", "other")).toMatchObject({ queues: [{ queue: "other", waiting: 1 }] });
      await jobs("resume", "mail");
      expect((await consumer.orders()).paused).toBe(false);
    });

    test("what cannot be done says why, and what to do instead", async () => {
      await enqueue({});
      const wrong: readonly (readonly [readonly string[], number, RegExp])[] = [
        [[], 2, /does not say what to do, expected ls, show, retry/],
        [["retri"], 2, /"retri" is nothing that scale jobs can do[^]*did you mean scale jobs retry\?/],
        [["ls", "mail"], 2, /one argument too many[^]*filters are options/],
        [["show"], 2, /does not say which id[^]*scale jobs show ID…/],
        [["show", "mail:1-0"], 1, /there is no job mail:1-0/],
        [["show", "nonsense"], 2, /"nonsense" is no job's id, expected QUEUE:ID/],
        [["pause", "mial"], 1, /no queue is named "mial", expected mail[^]*did you mean mail\?/],
        [["cancel"], 2, /does not say which jobs[^]*or a filter/],
        [["redrive", "--state=running"], 2, /--state is "running", expected discarded/],
        [["ls", "--cursor=here"], 2, /the cursor is "here"/],
        [["ls", "--stat=dead"], 78, /--stat is not an option. Did you mean --state\?/],
      ];
      for (const [words, code, message] of wrong) {
        const ended = await jobs(...words);
        expect(ended.stderr).toMatch(message);
        expect(ended.code).toBe(code);
        expect(ended.stdout).toBe("");
      }
    });
  });
}

test("without a queue's address, or with a wrong one, it says which it needs", async () => {
  const without = await runScale(["jobs", "ls"], { cwd: directory });
  expect(without).toMatchObject({ code: 78, stderr: expect.stringContaining("--redis-url=redis://") });
  const file = await runScale(["jobs", "ls", "--redis-url=file:nowhere.sqlite"], { cwd: directory });
  expect(file).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no queue at file:nowhere.sqlite") });
  const started = performance.now();
  const away = await runScale(["jobs", "stats", "--queue-url=redis://127.0.0.1:1"], { cwd: directory });
  expect(away).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("Redis at 127.0.0.1:1 could not list queues"),
  });
  expect(performance.now() - started).toBeLessThan(10_000);
});
