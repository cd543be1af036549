import { expect, test } from "bun:test";

import type { Lease } from "../../src/store/queue/queue.ts";
import { Progress } from "../../worker/progress.ts";
import { eventually } from "../harness/eventually.ts";

const lease = (entry: string): Lease => ({ entry }) as Lease;

function recording(fails = false) {
  const sent: { readonly atMs: number; readonly notes: readonly (readonly [string, string])[] }[] = [];
  const report = async (notes: readonly { readonly lease: Lease; readonly value: string }[]) => {
    sent.push({ atMs: performance.now(), notes: notes.map((note) => [note.lease.entry, note.value]) });
    if (fails) throw new Error("away");
  };
  return { sent, progress: new Progress({ report }) };
}

test("the first goes at once, of the others the newest of each job together, half a second apart", async () => {
  const { sent, progress } = recording();
  progress.note(lease("a"), "1");
  await eventually(() => sent.length === 1);
  for (let step = 2; step <= 100; step++) progress.note(lease("a"), String(step));
  progress.note(lease("b"), "7");
  await eventually(() => sent.length === 2);
  expect(sent.map(({ notes }) => notes)).toEqual([
    [["a", "1"]],
    [
      ["a", "100"],
      ["b", "7"],
    ],
  ]);
  expect(sent[1]!.atMs - sent[0]!.atMs).toBeGreaterThanOrEqual(490);
});

test("what a job said is forgotten with it, and nothing is sent for nobody", async () => {
  const { sent, progress } = recording();
  progress.note(lease("a"), "1");
  progress.forget(lease("a"));
  await Bun.sleep(20);
  expect(sent).toEqual([]);
  progress.note(lease("b"), "1");
  await eventually(() => sent.length === 1);
  progress.note(lease("b"), "2");
  progress.close();
  await Bun.sleep(520);
  expect(sent).toHaveLength(1);
});

test("a store that is away costs what was said then, and no more", async () => {
  const { sent, progress } = recording(true);
  progress.note(lease("a"), "1");
  await eventually(() => sent.length === 1);
  progress.note(lease("a"), "2");
  await eventually(() => sent.length === 2);
  expect(sent[1]!.notes).toEqual([["a", "2"]]);
  progress.close();
});
