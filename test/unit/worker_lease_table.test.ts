import { expect, test } from "bun:test";

import { LeaseTable } from "../../worker/lease_table.ts";

const token = (entry: string, deliveries = 1) => ({ entry, deliveries });

test("another thread sees what is held, with its token, queue and time", () => {
  const table = new LeaseTable(4);
  const seen = new LeaseTable(table.buffer);
  const a = table.add(0, token("1700000000000-0"));
  const b = table.add(2, token("1700000000000-12345", 3));
  expect(table.begin(b, 5_000)).toBe(true);
  expect(seen.held()).toEqual([
    { place: a, entry: "1700000000000-0", deliveries: 1, queue: 0, begun: false, deadlineMs: Infinity },
    { place: b, entry: "1700000000000-12345", deliveries: 3, queue: 2, begun: true, deadlineMs: 5_000 },
  ]);
  table.retoken(a, token("1700000000000-0", 2));
  table.end(b);
  expect(seen.held()).toMatchObject([{ deliveries: 2 }, { deadlineMs: Infinity }]);
  table.free(a);
  expect(seen.held()).toHaveLength(1);
});

test("of a job that begins here and one that is handed back there, each wins once", () => {
  const table = new LeaseTable(2);
  const thread = new LeaseTable(table.buffer);
  const [a, b] = [table.add(0, token("1")), table.add(0, token("2"))];
  const [seenA, seenB] = thread.held();
  expect(table.begin(a, 1)).toBe(true);
  expect(thread.handBack(seenA!)).toBe(false);
  expect(thread.handBack(seenB!)).toBe(true);
  expect([table.isHandedBack(a), table.isHandedBack(b)]).toEqual([false, true]);
  expect(table.begin(b, 1)).toBe(false);
  expect(thread.held()).toHaveLength(1);
});

test("a place is used again, and more jobs than places are a fault that is told", () => {
  const table = new LeaseTable(2);
  const a = table.add(0, token("1"));
  table.add(0, token("2"));
  expect(() => table.add(0, token("3"))).toThrow(/has no place for 3: it is made for 2 jobs/);
  table.free(a);
  expect(table.add(0, token("4"))).toBe(a);
  expect(table.held().map(({ entry }) => entry)).toEqual(["4", "2"]);
});

test("each thread sees the other's loop turn", () => {
  const table = new LeaseTable(1);
  const thread = new LeaseTable(table.buffer);
  table.pulse();
  thread.beat();
  thread.beat();
  expect([thread.pulses, table.beats]).toEqual([1, 2]);
});
