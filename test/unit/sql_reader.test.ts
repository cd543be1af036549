import { expect, test } from "bun:test";

import { beyondAllReplicas, Reader } from "../../src/store/sql/reader.ts";

test("a reader whose position nobody tells waits a second for it, and then reads from the primary", async () => {
  const reader = new Reader();
  const before = performance.now();
  reader.mustSee(new Promise(() => undefined));
  await reader.settled();
  expect(performance.now() - before).toBeWithin(900, 5_000);
  expect(reader.floor).toBe(beyondAllReplicas);
});

test("what is told later than that lowers nothing", async () => {
  const reader = new Reader();
  const { promise, resolve } = Promise.withResolvers<{ timeline: number; lsn: bigint }>();
  reader.mustSee(promise);
  await reader.settled();
  resolve({ timeline: 1, lsn: 9n });
  await promise;
  expect(reader.floor).toBe(beyondAllReplicas);
});
