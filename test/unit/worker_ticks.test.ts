import { expect, test } from "bun:test";

import type { Rhythm } from "../../src/runtime/schedule.ts";
import { parseCron } from "../../src/std/cron.ts";
import { TimeZone } from "../../src/std/time_zone.ts";
import { caughtUpMax, dueTicks, nextTick } from "../../worker/ticks.ts";

const every = (everyMs: number): Rhythm => ({ kind: "every", everyMs });
const minutely: Rhythm = { kind: "cron", cron: parseCron("* * * * *"), zone: new TimeZone("UTC") };
const now = Date.parse("2026-05-05T12:00:30Z");
const minute = 60_000;
const lastMinute = Date.parse("2026-05-05T12:00Z");

test("every counts from the epoch, whenever a process was started", () => {
  expect(nextTick(every(7_000), 0)).toBe(7_000);
  expect(nextTick(every(7_000), 6_999)).toBe(7_000);
  expect(nextTick(every(7_000), 7_000)).toBe(14_000);
});

test("nothing is due before its time, and what is due at this very moment is", () => {
  for (const catchUp of ["skip", "one", "all"] as const) {
    expect(dueTicks(minutely, catchUp, lastMinute, now)).toEqual([]);
    expect(dueTicks(minutely, catchUp, lastMinute - minute, lastMinute)).toEqual([lastMinute]);
  }
});

test("of what was missed: all, the newest, or none", () => {
  const last = lastMinute - 5 * minute;
  const missed = [4, 3, 2, 1, 0].map((ago) => lastMinute - ago * minute);
  expect(dueTicks(minutely, "all", last, now)).toEqual(missed);
  expect(dueTicks(minutely, "one", last, now)).toEqual([lastMinute]);
  // 30 s late is on time: somebody had to notice that the leader was gone.
  expect(dueTicks(minutely, "skip", last, now)).toEqual([lastMinute]);
  const hourly = every(60 * minute);
  expect(dueTicks(hourly, "skip", 0, lastMinute + 59_000)).toEqual([lastMinute]);
  expect(dueTicks(hourly, "skip", 0, lastMinute + 61_000)).toEqual([]);
});

test("years of missed ticks cost a bounded look, and the newest are kept", () => {
  const started = performance.now();
  const all = dueTicks(minutely, "all", 0, now);
  expect(all).toHaveLength(caughtUpMax);
  expect(all.at(-1)).toBe(lastMinute);
  expect(all[0]).toBe(lastMinute - (caughtUpMax - 1) * minute);
  expect(dueTicks(minutely, "one", 0, now)).toEqual([lastMinute]);
  expect(dueTicks({ ...minutely, cron: parseCron("0 0 29 2 *") }, "one", 0, now)).toEqual([
    Date.parse("2024-02-29T00:00Z"),
  ]);
  expect(performance.now() - started).toBeLessThan(2_000);
});
