/** The checker of histories: what it must refuse, and what it must allow. */
import { describe, expect, test } from "bun:test";

import { faultsOf, History, type HistoryEvent, type Promises } from "../harness/history.ts";

const everything: Promises = { readYourWrites: true, monotonicReads: true, freshAfterMs: { same: 0, others: 100 } };

type Times = readonly [beganAt: number, endedAt: number];
const event = (
  kind: "write" | "read",
  client: string,
  version: number,
  [beganAt, endedAt]: Times,
  more: Partial<HistoryEvent> = {},
): HistoryEvent => ({ kind, client, place: "app 1", key: "k", version, beganAt, endedAt, isUnknown: false, ...more });
const wrote = (...args: [string, number, Times, Partial<HistoryEvent>?]) => event("write", ...args);
const read = (...args: [string, number, Times, Partial<HistoryEvent>?]) => event("read", ...args);

const elsewhere = { place: "app 2" };
const unknown = { isUnknown: true };

describe("a history is refused", () => {
  test.each<[string, Promises, readonly HistoryEvent[], string]>([
    [
      "whose client does not see what it wrote",
      { readYourWrites: true },
      [wrote("ada", 1, [0, 1]), wrote("ada", 2, [2, 3]), read("ada", 1, [4, 5], elsewhere)],
      "ada read 1 of k through app 2 from 4.0 ms and had written 2 at 3.0 ms",
    ],
    [
      "whose client sees nothing after it wrote",
      { readYourWrites: true },
      [wrote("ada", 1, [0, 1]), read("ada", 0, [2, 3])],
      "ada read 0 of k through app 1 from 2.0 ms and had written 1 at 1.0 ms",
    ],
    [
      "whose client goes back in time",
      { monotonicReads: true },
      [wrote("bob", 1, [0, 1]), wrote("bob", 2, [1, 2]), read("ada", 2, [3, 4]), read("ada", 1, [5, 6])],
      "ada read 1 of k through app 1 from 5.0 ms and had read 2 at 4.0 ms",
    ],
    [
      "that serves what was invalidated, where it was",
      { freshAfterMs: { same: 0, others: 100 } },
      [wrote("bob", 1, [0, 1]), wrote("bob", 2, [2, 3]), read("ada", 1, [4, 5])],
      "ada read 1 of k through app 1 from 4.0 ms and could know of 2, written through app 1 at 3.0 ms",
    ],
    [
      "that serves what was invalidated elsewhere, later than promised",
      { freshAfterMs: { same: 0, others: 100 } },
      [wrote("bob", 1, [0, 1]), wrote("bob", 2, [2, 3]), read("ada", 1, [104, 105], elsewhere)],
      "ada read 1 of k through app 2 from 104.0 ms and could know of 2, written through app 1 at 3.0 ms",
    ],
    [
      "that shows what nobody has begun to write yet",
      {},
      [read("ada", 1, [0, 1]), wrote("bob", 1, [2, 3])],
      "ada read 1 of k through app 1 from 0.0 ms, which nobody had written",
    ],
  ])("%s", (_, promises, events, fault) => {
    expect(faultsOf(events, promises)).toEqual([fault]);
    expect(faultsOf(events.toReversed(), promises)).toEqual([fault]);
  });
});

describe("a history is allowed", () => {
  test.each<[string, readonly HistoryEvent[]]>([
    ["in which nothing happens", []],
    ["whose reads follow the writes", [wrote("ada", 1, [0, 1]), read("ada", 1, [2, 3]), read("bob", 1, [2, 3])]],
    ["whose read began before the write was acknowledged", [wrote("ada", 1, [0, 5]), read("ada", 0, [4, 9])]],
    ["whose reads at the same time differ", [wrote("b", 1, [0, 9]), read("a", 1, [1, 5]), read("a", 0, [2, 6])]],
    ["in which a write of unknown fate is seen", [wrote("ada", 1, [0, 1], unknown), read("bob", 1, [2, 3])]],
    ["in which a write of unknown fate is not seen", [wrote("ada", 1, [0, 1], unknown), read("ada", 0, [2, 3])]],
    ["that is old elsewhere for as long as may be", [wrote("b", 1, [0, 1]), read("a", 0, [100, 999], elsewhere)]],
    ["whose keys are each on their own", [wrote("a", 2, [0, 1]), read("a", 0, [2, 3], { key: "other" })]],
  ])("%s", (_, events) => {
    expect(faultsOf(events, everything)).toEqual([]);
  });
});

test("each promise is checked only where it is made", () => {
  const events = [wrote("ada", 1, [0, 1]), wrote("ada", 2, [2, 3]), read("ada", 2, [4, 5]), read("ada", 1, [6, 7])];
  expect(faultsOf(events, {})).toEqual([]);
  for (const one of [{ readYourWrites: true }, { monotonicReads: true }, { freshAfterMs: { same: 0, others: 0 } }])
    expect(faultsOf(events, one)).toHaveLength(1);
});

test("the recorder keeps a write that failed as one of unknown fate, and of a failed read nothing", async () => {
  const history = new History();
  await history.write("ada", "app 1", "k", 1, () => Promise.resolve());
  const failed = history.write("ada", "app 1", "k", 2, () => Promise.reject(new Error("gone")));
  await expect(failed).rejects.toThrow("gone");
  expect(await history.read("ada", "app 1", "k", () => Promise.resolve(2))).toBe(2);
  await expect(history.read("ada", "app 1", "k", () => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
  expect(history.events.map(({ kind, version, isUnknown }) => [kind, version, isUnknown])).toEqual([
    ["write", 1, false],
    ["write", 2, true],
    ["read", 2, false],
  ]);
  expect(faultsOf(history.events, everything)).toEqual([]);
});
