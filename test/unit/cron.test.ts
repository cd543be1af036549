import { describe, expect, test } from "bun:test";

import { nextTick, parseCron } from "../../src/std/cron.ts";
import { TimeZone } from "../../src/std/time_zone.ts";

const utc = new TimeZone("UTC");
const berlin = new TimeZone("Europe/Berlin");

/** The next `count` ticks, as ISO in UTC without seconds. */
function ticks(text: string, after: string, count: number, zone = utc): string[] {
  const cron = parseCron(text);
  const found: string[] = [];
  for (let at = Date.parse(after); found.length < count;) {
    at = nextTick(cron, zone, at);
    found.push(new Date(at).toISOString().slice(0, 16));
  }
  return found;
}

describe("what a field says", () => {
  const cases: readonly (readonly [cron: string, after: string, expected: readonly string[]])[] = [
    ["* * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:01", "2026-01-01T00:02"]],
    ["* * * * *", "2026-01-01T00:00:30.5Z", ["2026-01-01T00:01"]],
    ["*/20 * * * *", "2026-01-01T00:30Z", ["2026-01-01T00:40", "2026-01-01T01:00", "2026-01-01T01:20"]],
    [
      "5/25 * * * *",
      "2026-01-01T00:00Z",
      ["2026-01-01T00:05", "2026-01-01T00:30", "2026-01-01T00:55", "2026-01-01T01:05"],
    ],
    ["10-20/5 8,18 * * *", "2026-01-01T08:12Z", ["2026-01-01T08:15", "2026-01-01T08:20", "2026-01-01T18:10"]],
    ["0 0 1 * *", "2026-01-31T12:00Z", ["2026-02-01T00:00", "2026-03-01T00:00"]],
    ["0 0 31 * *", "2026-01-31T12:00Z", ["2026-03-31T00:00", "2026-05-31T00:00"]],
    ["30 6 * * mon-fri", "2026-01-02T07:00Z", ["2026-01-05T06:30", "2026-01-06T06:30"]],
    ["0 0 * * 7", "2026-01-01T00:00Z", ["2026-01-04T00:00", "2026-01-11T00:00"]],
    [
      "0 0 * * FRI-SUN",
      "2026-01-01T00:00Z",
      ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-04T00:00", "2026-01-09T00:00"],
    ],
    ["0 0 1 jan,JUL *", "2026-01-01T00:00Z", ["2026-07-01T00:00", "2027-01-01T00:00"]],
    ["0 0 29 2 *", "2026-01-01T00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00"]],
    ["0 0 29 2 *", "2096-03-01T00:00Z", ["2104-02-29T00:00"]],
    // Both days restricted: either.
    ["0 0 13 * FRI", "2026-03-01T00:00Z", ["2026-03-06T00:00", "2026-03-13T00:00", "2026-03-20T00:00"]],
    ["0 0 15 * MON", "2026-03-10T00:00Z", ["2026-03-15T00:00", "2026-03-16T00:00"]],
    ["59 23 31 12 *", "2026-12-31T23:58Z", ["2026-12-31T23:59", "2027-12-31T23:59"]],
  ];
  for (const [cron, after, expected] of cases) {
    test(`${cron} after ${after}`, () => expect(ticks(cron, after, expected.length)).toEqual([...expected]));
  }
});

describe("what is no cron expression says what was expected", () => {
  const cases: readonly (readonly [cron: string, message: RegExp])[] = [
    ["* * * *", /expected five fields: minute hour day-of-month month day-of-week/],
    ["@hourly", /expected five fields/],
    ["60 * * * *", /expected a minute 0–59; "60" is none/],
    ["* 24 * * *", /expected a hour 0–23; "24" is none/],
    ["* * 0 * *", /expected a day of month 1–31; "0" is none/],
    ["* * * FOO *", /expected a month 1–12 or JAN–DEC; "FOO" is none/],
    ["* * * * 8", /expected a day of week 0–7 or SUN–SAT; "8" is none/],
    ["* * L * *", /expected a day of month 1–31; "L" is none/],
    ["5-1 * * * *", /expected a minute range that goes up.*"5-1" is none/],
    ["*/0 * * * *", /with a step of at least 1/],
    ["1,,2 * * * *", /expected a minute such as 0, 0-59, \*\/2 or 0,59; "" is none/],
    ["-1 * * * *", /"-1" is none/],
    ["0 0 30 2 *", /expected a day that exists/],
  ];
  for (const [cron, message] of cases) test(cron, () => expect(() => parseCron(cron)).toThrow(message));
});

describe("time zones", () => {
  test("a wall clock in Berlin is not one in Greenwich, in summer another than in winter", () => {
    expect(ticks("0 9 * * *", "2026-01-10T00:00Z", 1, berlin)).toEqual(["2026-01-10T08:00"]);
    expect(ticks("0 9 * * *", "2026-07-10T00:00Z", 1, berlin)).toEqual(["2026-07-10T07:00"]);
    expect(ticks("0 0 1 * *", "2026-01-10T00:00Z", 1, new TimeZone("Asia/Kathmandu"))).toEqual(["2026-01-31T18:15"]);
  });

  // In Berlin, clocks jump from 02:00 to 03:00 at 2026-03-29T01:00Z, and from 03:00 back to 02:00 at 2026-10-25T01:00Z.
  const changes: readonly (readonly [what: string, cron: string, after: string, expected: readonly string[]])[] = [
    [
      "a time jumped over fires once, right after",
      "30 2 * * *",
      "2026-03-28T02:00Z",
      ["2026-03-29T01:00", "2026-03-30T00:30"],
    ],
    ["several of them are one tick", "*/20 2 * * *", "2026-03-28T23:00Z", ["2026-03-29T01:00", "2026-03-30T00:00"]],
    [
      "and one with what is due then anyway",
      "0,30 2,3 * * *",
      "2026-03-28T23:00Z",
      ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
    ],
    [
      "a time that is not touched is not touched",
      "0 4 * * *",
      "2026-03-28T04:00Z",
      ["2026-03-29T02:00", "2026-03-30T02:00"],
    ],
    [
      "a time shown twice fires the first time",
      "30 2 * * *",
      "2026-10-24T02:00Z",
      ["2026-10-25T00:30", "2026-10-26T01:30"],
    ],
    ["also asked between the two", "30 2 * * *", "2026-10-25T00:40Z", ["2026-10-26T01:30"]],
    ["also asked in the second hour", "30 2 * * *", "2026-10-25T01:10Z", ["2026-10-26T01:30"]],
    [
      "every hour is every hour that passes: forward",
      "30 * * * *",
      "2026-03-28T23:00Z",
      ["2026-03-28T23:30", "2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"],
    ],
    [
      "every hour is every hour that passes: back",
      "30 * * * *",
      "2026-10-24T23:00Z",
      ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
    ],
  ];
  for (const [what, cron, after, expected] of changes) {
    test(what, () => expect(ticks(cron, after, expected.length, berlin)).toEqual([...expected]));
  }

  test("half an hour is put forward on Lord Howe Island, and midnight is skipped in Beirut", () => {
    // 02:00 → 02:30 at 2026-10-03T15:30Z.
    expect(ticks("15 2 * * *", "2026-10-03T12:00Z", 2, new TimeZone("Australia/Lord_Howe"))).toEqual([
      "2026-10-03T15:30",
      "2026-10-04T15:15",
    ]);
    // 00:00 → 01:00 at 2026-03-28T22:00Z.
    expect(ticks("0 0 * * *", "2026-03-28T12:00Z", 2, new TimeZone("Asia/Beirut"))).toEqual([
      "2026-03-28T22:00",
      "2026-03-29T21:00",
    ]);
  });

  test("over ten years every minute of every hour comes once, and every day's time once", () => {
    const daily = parseCron("30 2 * * *");
    let at = Date.parse("2025-12-31T01:30Z");
    for (let day = 0; day < 3_652; day++) {
      const next = nextTick(daily, berlin, at);
      expect(next - at).toBeGreaterThan(22 * 3_600_000);
      expect(next - at).toBeLessThan(26 * 3_600_000);
      at = next;
    }
    expect(new Date(at).toISOString()).toBe("2035-12-31T01:30:00.000Z");
    const often = parseCron("*/15 * * * *");
    for (const around of ["2026-03-28T20:00Z", "2026-10-24T20:00Z"]) {
      let time = Date.parse(around);
      for (let tick = 0; tick < 60; tick++) {
        expect(nextTick(often, berlin, time)).toBe(time + 900_000);
        time += 900_000;
      }
    }
  });

  test("a name nobody knows is refused", () => expect(() => new TimeZone("Mars/Olympus")).toThrow(RangeError));
});
