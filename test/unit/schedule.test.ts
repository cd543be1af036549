import { expect, test } from "bun:test";

import { z } from "zod";

import { job, jobTable } from "../../src/runtime/jobs.ts";
import { schedule, scheduleTable } from "../../src/runtime/schedule.ts";

const report = job<null>("report", () => undefined);
const jobs = jobTable([report], "entry.ts");

test("what cannot be a schedule is refused where it is defined, with its name", () => {
  const daily = { cron: "0 3 * * *" };
  expect(() => schedule("", daily, report)).toThrow(/schedule\(""\): its name is "", expected lower-case letters/);
  expect(() => schedule("s", { cron: "0 25 * * *" }, report)).toThrow(
    /schedule\("s"\): the cron expression "0 25 \* \* \*" is not valid: expected a hour 0–23; "25" is none/,
  );
  expect(() => schedule("s", { ...daily, timeZone: "Moon" }, report)).toThrow(/the time zone "Moon" is not valid/);
  expect(() => schedule("s", { every: "10ms" }, report)).toThrow(/every is "10ms", expected a duration/);
  expect(() => schedule("s", { ...daily, catchUp: "some" as never }, report)).toThrow(
    /catchUp is "some", expected skip, one, all/,
  );
  expect(() => schedule("s", daily, { name: "x" } as never)).toThrow(
    /the target of schedule "s" is not made by job\(\)/,
  );
  expect(() => schedule("s", daily, report, { at: new Map() } as never)).toThrow(
    /its payload is not valid: the payload\.at is a Map/,
  );
});

test("an application's schedules have names of their own and jobs of the application", async () => {
  const nightly = schedule("nightly", { cron: "0 3 * * *" }, report);
  expect(await scheduleTable([nightly], jobs, "entry.ts")).toMatchObject([
    { name: "nightly", catchUp: "one", payload: "null" },
  ]);
  const failure = (given: readonly never[]) =>
    scheduleTable(given, jobs, "entry.ts").catch((error: Error) => error.message);
  expect(await failure([nightly, nightly] as never)).toBe('entry.ts: two schedules are named "nightly"');
  expect(await failure([{ name: "x" }] as never)).toContain("schedules[0] is not made by schedule()");
  const stranger = schedule(
    "strange",
    { every: "1h" },
    job("stranger", () => undefined),
  );
  expect(await failure([stranger] as never)).toBe('entry.ts: schedule "strange" enqueues "stranger", no job of it');
  const strict = job("strict", () => undefined, { schema: z.object({ day: z.string() }) });
  const wrong = schedule("wrong", { every: "1h" }, strict, { day: 7 });
  const table = scheduleTable([wrong], jobTable([strict], "entry.ts"), "entry.ts");
  expect(await table.catch((error: Error) => error.message)).toContain(
    'the payload of schedule "wrong" does not fit its schema: day',
  );
});
