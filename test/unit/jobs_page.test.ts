import { expect, test } from "bun:test";

import { isLoopback, namesLoopback } from "../../src/std/foreign.ts";
import { linePath, rates, type Sample, withSample } from "../../worker/page/rates.ts";
import { perSecond, relative } from "../../worker/page/time.ts";

const sampled = (...completed: number[]) =>
  completed.reduce<readonly Sample[]>(
    (samples, count, second) => withSample(samples, { atMs: second * 1_000, completed: count, failed: second }),
    [],
  );

test("rates are those of the last five seconds", () => {
  expect(rates(sampled())).toEqual({ completed: 0, failed: 0 });
  expect(rates(sampled(7))).toEqual({ completed: 0, failed: 0 });
  expect(rates(sampled(0, 1_000, 1_000, 1_010, 1_020, 1_030, 1_040, 1_050))).toEqual({ completed: 10, failed: 1 });
});

test("samples are kept for a minute, and begin anew where a count shrank", () => {
  expect(sampled(...Array.from({ length: 100 }, (_, second) => second))).toHaveLength(61);
  expect(sampled(5, 6, 7, 0)).toEqual([{ atMs: 3_000, completed: 0, failed: 3 }]);
});

test("the line ends at the right with the newest, and its highest point is at the top", () => {
  expect(linePath(sampled(0, 1))).toBe("");
  expect(linePath(sampled(0, 0, 4, 6))).toBe("M58.0 19.0L59.0 1.0L60.0 10.0");
});

const moments: readonly (readonly [number, string])[] = [
  [-3_000, "3s ago"],
  [-200_000, "3m ago"],
  [-7_300_000, "2h ago"],
  [-200_000_000, "2d ago"],
  [5_000, "in 5s"],
];
test.each(moments)("%p ms from now is %s", (distance, text) => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(relative(new Date(now + distance).toISOString(), now)).toBe(text);
});

test("a rate is as short as it is useful", () => {
  expect([0, 0.01, 2.46, 12_345.6].map(perSecond)).toEqual(["0/s", "<0.1/s", "2.5/s", "12,346/s"]);
});

const hosts: readonly (readonly [string | null, boolean])[] = [
  ["localhost", true],
  ["LOCALHOST:9000", true],
  ["127.0.0.1:80", true],
  ["127.9.9.9", true],
  ["[::1]:80", true],
  ["127.0.0.1.evil.example", false],
  ["localhost.evil.example:80", false],
  ["evil.example", false],
  ["10.0.0.1", false],
  ["", false],
  [null, false],
];
test.each(hosts)("host %p names this machine: %p", (host, expected) => expect(namesLoopback(host)).toBe(expected));

test("addresses of this machine", () => {
  expect(["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "::2", ""].map(isLoopback)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
