/** What a job's handler can say and is told: verbs, a checked payload, the trace of who enqueued it. */
import { afterAll, afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import type { Queue } from "../../src/store/queue/queue.ts";
import { eventually } from "../harness/eventually.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/verbs.ts`;
const directory = mkdtempSync(join(tmpdir(), "scale-verbs-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Note {
  readonly job: string;
  readonly at: number;
  readonly attempt: number;
  readonly [field: string]: unknown;
}

let queue: Queue;
let url = "";
let file = "";
let files = 0;
beforeEach(() => {
  file = join(directory, `notes-${++files}`);
  url = `file:${directory}/store-${files}.sqlite`;
  queue = openQueue(url, { namespace: "scale" });
});
afterEach(() => queue.close());

const start = (role: string, expectErrors: readonly RegExp[] = []): Promise<ScaleProcess> =>
  startScale([`--role=${role}`, entry, `--redis-url=${url}`], { env: { TRACE_FILE: file }, expectErrors });

function notes(job: string): readonly Note[] {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  const all = text.trimEnd().split("\n");
  return all.map((line) => JSON.parse(line) as Note).filter((note) => note.job === job);
}

test("Discard goes to the dead letters at once with its reason, and is nothing to look at", async () => {
  await using worker = await start("worker");
  await queue.enqueue("default", [{ name: "discards", payload: "null" }]);
  await eventually(async () => (await queue.stats("default")).dead === 1);
  expect(await queue.deadLetters("default", 1)).toMatchObject([{ attempts: 1, reason: "the account is gone" }]);
  await eventually(() => worker.log().some((line) => line.includes("goes to the dead letters: the account is gone")));
});

test("RetryAfter is a failed attempt with its own pause; Snooze is none at all", async () => {
  await using _ = await start("worker");
  await queue.enqueue("default", [
    { name: "waits", payload: "null" },
    { name: "snoozed", payload: "null" },
  ]);
  await eventually(() => notes("waits").length === 2 && notes("snoozed").length === 4);
  const [first, second] = notes("waits") as [Note, Note];
  expect([first.attempt, second.attempt]).toEqual([1, 2]);
  expect(second.at - first.at).toBeGreaterThanOrEqual(150);
  expect(second.at - first.at).toBeLessThan(10_000);
  expect(notes("snoozed").map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
  await eventually(async () => (await queue.stats("default")).running === 0);
  expect(await queue.stats("default")).toMatchObject({ waiting: 0, delayed: 0, dead: 0 });
});

test("a payload that does not fit the schema is refused when enqueued, and again before it would run", async () => {
  await using app = await start("app");
  const post = (body: unknown) => fetch(`${app.url}/orders`, { method: "POST", body: JSON.stringify(body) });
  const refused = await post({ order: 7, lines: ["x"] });
  expect(refused.status).toBe(422);
  expect(await refused.text()).toMatch(
    /the payload of job \\"counts\\" does not fit its schema: order: .*; lines\.0: /,
  );
  expect((await post({ order: "A", lines: [1, 2] })).status).toBe(200);
  // Another version of the application had another idea of it.
  await queue.enqueue("default", [{ name: "counts", payload: '{"order":"B"}' }]);
  await using _ = await start("worker", [/job counts goes to the dead letters/]);
  await eventually(async () => (await queue.stats("default")).dead === 1 && notes("counts").length === 1);
  expect(notes("counts")).toMatchObject([{ order: "A", lines: "2" }]);
  const [letter] = await queue.deadLetters("default", 1);
  expect(letter?.reason).toContain('the payload of job "counts" does not fit its schema: lines: ');
});

test("the trace of a request reaches the job it enqueues, the job that one enqueues, and their log lines", async () => {
  await using app = await start("app");
  await using worker = await start("worker");
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const headers = { traceparent: `00-${id}-00f067aa0ba902b7-01` };
  await fetch(`${app.url}/traced`, { method: "POST", headers });
  await eventually(() => notes("child").length === 1);
  expect([...notes("traced"), ...notes("child")].map((note) => note["traceparent"])).toEqual([
    headers.traceparent,
    headers.traceparent,
  ]);
  const line = await eventually(() => worker.log().find((one) => one.includes("a line of the attempt")));
  expect(JSON.parse(line)).toMatchObject({ job: "traced", attempt: 1, trace: id });
  await queue.enqueue("default", [{ name: "child", payload: "null" }]);
  await eventually(() => notes("child").length === 2);
  expect(notes("child")[1]?.["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});
