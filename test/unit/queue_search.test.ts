import { expect, test } from "bun:test";

import { encodeEnvelope } from "../../src/store/queue/envelope.ts";
import type { Inspector, JobSummary, Place, StoredJob } from "../../src/store/queue/inspect.ts";
import { type Filter, matches, scannedMax, search } from "../../src/store/queue/search.ts";

const now = 1_000_000;
const summary: JobSummary = {
  id: "mail:17-0",
  queue: "mail",
  name: "send",
  state: "discarded",
  attempts: 1,
  atMs: now - 60_000,
  enqueuedAtMs: undefined,
  reason: undefined,
  priority: "normal",
  waitsFor: undefined,
  payloadBytes: 2,
};

const filters: readonly (readonly [Partial<Filter>, boolean])[] = [
  [{}, true],
  [{ states: ["running", "discarded"] }, true],
  [{ states: ["running"] }, false],
  [{ name: "send" }, true],
  [{ name: "sen" }, false],
  [{ idPrefix: "mail:17" }, true],
  [{ idPrefix: "17-" }, true],
  [{ idPrefix: "7-0" }, false],
  [{ olderThanMs: 60_000 }, true],
  [{ olderThanMs: 60_001 }, false],
];
test.each(filters)("filter %j: %p", (filter, expected) => {
  expect(matches({ states: [], ...filter }, summary, now)).toBe(expected);
});

/** Pages of a queue that only counts. */
function counting(jobs: number, asked: { pages: number } = { pages: 0 }): Inspector {
  const page = (queue: string, place: Place, cursor: string | undefined, max: number) => {
    asked.pages++;
    const start = cursor === undefined ? 0 : Number(cursor) + 1;
    const end = place === "waiting" ? Math.min(jobs, start + max) : start;
    const found = Array.from({ length: end - start }, (_, index): StoredJob => {
      const envelope = encodeEnvelope({ name: (start + index) % 1_000 === 999 ? "rare" : "usual", payload: "{}" });
      return { queue, place, entry: String(start + index), envelope, payloadBytes: 2, atMs: 0 };
    });
    return Promise.resolve({ jobs: found, next: found.length < max ? undefined : found.at(-1)!.entry });
  };
  return { page, cursorAfter: ({ entry }: StoredJob) => entry } as unknown as Inspector;
}

test("a search goes on where the one before ended, over queues and places, and sees each job once", async () => {
  const seen: string[] = [];
  for (let cursor: string | undefined, rounds = 0; rounds === 0 || cursor !== undefined; rounds++) {
    const { jobs, next } = await search(counting(450), ["a", "b"], { states: [] }, 137, cursor);
    seen.push(...jobs.map(({ id }) => id));
    cursor = next;
  }
  expect(seen).toEqual(["a", "b"].flatMap((queue) => Array.from({ length: 450 }, (_, index) => `${queue}:${index}`)));
});

test("a search for what is rare looks at so many jobs and no more, and says where to go on", async () => {
  const asked = { pages: 0 };
  const inspector = counting(100_000, asked);
  const filter: Filter = { states: [], name: "rare" };
  const first = await search(inspector, ["a"], filter, 1_000);
  expect(first).toMatchObject({ scanned: scannedMax, next: `a/waiting/${scannedMax - 1}` });
  expect(first.jobs).toHaveLength(scannedMax / 1_000);
  expect(asked.pages).toBe(1 + scannedMax / 200);
  const second = await search(inspector, ["a"], filter, 1, first.next);
  expect(second.jobs.map(({ id }) => id)).toEqual([`a:${scannedMax + 999}`]);
});

test("a cursor that no search gave is refused", async () => {
  for (const cursor of ["", "here", "a/nowhere/1", "a/waiting/", "b/waiting/1"]) {
    expect(search(counting(1), ["a"], { states: [] }, 1, cursor)).rejects.toThrow(RangeError);
  }
});
