/**
 * Jobs are typed from end to end: each line that must not compile says so, and the type check complains where it does. What enqueue does
 * with what it is given is jobs.test.ts.
 */
import { expect, test } from "bun:test";

import { job, schedule } from "scale";
import { z } from "zod";

const report = job("report", (payload: { readonly month: string }) => payload.month.length);
const account = z.object({ id: z.string().transform(Number) });
const sync = job("sync", (payload) => payload.id.toFixed(), { schema: account });
const anything = job("anything", () => undefined);
const daily = { every: "1d" } as const;

/** For the compiler: it is never called. */
export const payloads = () => [
  report.enqueue({ month: "May" }, { delay: "1h", priority: "low", key: "a", unique: { key: "b", per: "1m" } }),
  report.enqueueMany([{ month: "May" }], { key: ({ month }) => month }),
  // With a schema: what goes in is what it takes, what the handler gets is what it makes of that.
  sync.enqueue({ id: "7" }),
  // @ts-expect-error another type
  report.enqueue({ month: 5 }),
  // @ts-expect-error nothing
  report.enqueue(),
  // @ts-expect-error no payload has this
  report.enqueueMany([{ month: "May" }], { key: ({ day }) => day }),
  // @ts-expect-error what the handler gets, not what the schema takes
  sync.enqueue({ id: 7 }),
  // @ts-expect-error no priority
  report.enqueue({ month: "May" }, { priority: "urgent" }),
  // @ts-expect-error one key cannot be many jobs'
  report.enqueueMany([{ month: "May" }], { unique: "b" }),
];

/** Likewise. */
export const schedules = () => [
  schedule("a", daily, report, { month: "last" }),
  schedule("b", daily, sync, { id: "7" }),
  schedule("c", daily, anything),
  // @ts-expect-error the job would get null
  schedule("d", daily, report),
  // @ts-expect-error another type
  schedule("e", daily, report, { month: 5 }),
  // @ts-expect-error neither a time nor a rhythm
  schedule("f", {}, anything),
];

/** Likewise. */
export const handlers = () => [
  // @ts-expect-error no payload that is JSON
  job("date", (moment: Date) => moment.getTime()),
  // @ts-expect-error no duration
  job("late", () => undefined, { timeout: true }),
  job("attempt", (_: null, { id, attempt, signal, log, progress, trace }) => {
    log.info({ attempt, trace }, id);
    progress({ aborted: signal.aborted });
    // @ts-expect-error no JSON
    progress(() => undefined);
  }),
];

test("a job is enqueued by the one that was defined", () => {
  expect([report, sync, anything].map(({ name }) => name)).toEqual(["report", "sync", "anything"]);
});
