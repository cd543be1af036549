import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";

import type { Config } from "../../src/config/options.ts";
import { job, jobTable } from "../../src/runtime/jobs.ts";
import { closeStores, openStores } from "../../src/runtime/runtime.ts";
import { openQueue } from "../../src/store/queue/open.ts";
import type { Lease } from "../../src/store/queue/queue.ts";

const directory = mkdtempSync(`${tmpdir()}/scale-jobs-`);
const url = `file:${directory}/queue.db`;

beforeAll(() => void openStores({ queueUrl: url, namespace: "jobs", jobPayloadBytesMax: 256 * 1024 } as Config));
afterAll(async () => {
  await closeStores();
  rmSync(directory, { recursive: true, force: true });
});

async function takeAll(name: string): Promise<readonly Lease[]> {
  const queue = openQueue(url, { namespace: "jobs" });
  const leases = await queue.consumer(name, "test").take(100, 1, new AbortController().signal);
  await queue.close();
  return leases;
}

test("enqueue answers with the id under which a worker gets name and payload", async () => {
  const greet = job("greet", () => undefined, { queue: "one" });
  const { id } = await greet.enqueue({ name: "Ada", none: undefined });
  expect(await takeAll("one")).toMatchObject([{ id, name: "greet", payload: '{"name":"Ada"}' }]);
});

test("enqueueMany answers with an id for each, in order", async () => {
  const ids = await job<number>("count", () => undefined, { queue: "many" }).enqueueMany([1, 2, 3]);
  const leases = await takeAll("many");
  expect(leases.map(({ id, payload }) => ({ id, payload }))).toEqual(
    ids.map(({ id }, index) => ({ id, payload: String(index + 1) })),
  );
});

test("a delayed job waits, one whose time has passed does not", async () => {
  const later = job<null>("later", () => undefined, { queue: "late" });
  await later.enqueue(null, { delay: "1h" });
  await later.enqueue(null, { at: new Date(Date.now() + 60_000) });
  expect(await takeAll("late")).toEqual([]);
  await later.enqueue(null, { at: new Date(0) });
  expect(await takeAll("late")).toHaveLength(1);
});

test("a unique key belongs to its job: another may use the same", async () => {
  const [a, b] = ["a", "b"].map((name) => job<null>(name, () => undefined, { queue: "unique" }));
  const first = await a!.enqueue(null, { unique: "user:7" });
  expect(await a!.enqueue(null, { unique: "user:7" })).toEqual(first);
  expect(await b!.enqueue(null, { unique: "user:7" })).not.toEqual(first);
});

test("a unique key may hold for a time, and says so where that is none", async () => {
  const throttled = job<null>("throttled", () => undefined, { queue: "throttle" });
  const first = await throttled.enqueue(null, { unique: { key: "user:7", per: "1h" } });
  expect(await throttled.enqueue(null, { unique: { key: "user:7", per: "1h" } })).toEqual(first);
  const enqueued = throttled.enqueue(null, { unique: { key: "user:7", per: "31d" } });
  expect(await enqueued.catch((error: unknown) => error)).toMatchObject({
    message: expect.stringContaining('unique.per is "31d", expected at most 30d'),
  });
});

test("jobs carry their priority, the job's or their own, and the limits of job and key", async () => {
  const options = { queue: "limited", priority: "low", concurrency: 5 } as const;
  const limited = job<{ user: string }>("limited", () => undefined, options);
  await limited.enqueueMany([{ user: "a" }, { user: "b" }], { key: ({ user }) => user });
  await limited.enqueue({ user: "c" }, { priority: "high" });
  const leases = await takeAll("limited");
  expect(leases.map(({ payload, gates }) => [payload, gates.map(({ name }) => name)])).toEqual([
    ['{"user":"c"}', ["job:limited"]],
    ['{"user":"a"}', ["key:limited:a", "job:limited"]],
    ['{"user":"b"}', ["key:limited:b", "job:limited"]],
  ]);
  const enqueued = limited.enqueue({ user: "d" }, { priority: "urgent" as "high" });
  expect(await enqueued.catch((error: unknown) => error)).toMatchObject({
    message: expect.stringContaining('priority is "urgent", expected "high", "normal", "low"'),
  });
});

test("a unique key has a limit: it stays in the queue's memory as long as its job", async () => {
  const enqueued = job<null>("c", () => undefined).enqueue(null, { unique: "k".repeat(513) });
  expect(await enqueued.catch((error: unknown) => error)).toMatchObject({
    message: expect.stringContaining("unique is 513 characters long, expected at most 512 characters"),
  });
});

const lossy = job<never>("lossy", () => undefined);
const circle: { self?: unknown } = {};
circle.self = circle;
const refused: readonly (readonly [unknown, RegExp])[] = [
  [{ at: { deep: [1, Number.NaN] } }, /the payload of job "lossy"\.at\.deep\[1\] is NaN/],
  [new Map(), /the payload of job "lossy" is a Map/],
  [circle, /of job "[^"]*"\.self\.self.{0,80}… is nested deeper than 64, or a circle, which JSON cannot carry$/],
  [{ id: 1n }, /is a bigint, which JSON cannot carry; send it as a string/],
  [undefined, /the payload of job "lossy" is undefined/],
  ["x".repeat(256 * 1024), /is 262146 bytes, expected at most 262144/],
];
for (const [payload, message] of refused) {
  test(`a payload is refused: ${message.source}`, async () => {
    const enqueued = lossy.enqueue(payload as never);
    expect(enqueued).rejects.toMatchObject({ code: "payload_invalid", message: expect.stringMatching(message) });
    await enqueued.catch(() => undefined);
  });
}

test("what cannot be a job is refused where it is defined, with its name", () => {
  const handler = () => undefined;
  expect(() => job("", handler)).toThrow(/name is "", expected 1–128 characters/);
  expect(() => job("j", handler, { queue: "Über" })).toThrow(/job\("j"\): queue is "Über", expected lower-case/);
  expect(() => job("j", handler, { attempts: 0 })).toThrow(/attempts is 0, expected a whole number/);
  expect(() => job("j", handler, { schema: {} as never })).toThrow(/schema is an object, expected a Standard Schema/);
  expect(() => job("j", handler, { timeout: "soon" })).toThrow(/timeout is "soon", expected a duration such as/);
  expect(() => job("j", handler, { timeout: "30d" })).toThrow(/timeout is "30d", expected 1ms–7d/);
  expect(() => job("j", handler, { timeout: 0 })).toThrow(/timeout is 0, expected 1ms–7d/);
  expect(() => job("j", handler, { backoff: { base: "1s", max: "x" } })).toThrow(
    /backoff\.max is "x", expected a duration/,
  );
});

test("an application's jobs are found by name, and two of one name are refused", () => {
  const one = job("one", () => undefined, { attempts: 3, timeout: "1m" });
  const table = jobTable([one], "entry.ts");
  expect(table.get("one")).toMatchObject({ queue: "default", attemptsMax: 3, timeoutMs: 60_000 });
  expect(table.get("one")?.backoff).toEqual({ baseMs: 15_000, maxMs: 3_600_000 });
  expect(() => jobTable([one, job("one", () => undefined)], "entry.ts")).toThrow(/entry\.ts: two jobs are named "one"/);
  expect(() => jobTable([{ name: "x" } as never], "entry.ts")).toThrow(/entry\.ts: jobs\[0\] is not made by job\(\)/);
});
