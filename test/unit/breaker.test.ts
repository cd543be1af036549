/** When a store that fails is left alone, and how many may do something at a time. */
import { expect, test } from "bun:test";

import { Breaker } from "../../src/std/breaker.ts";
import { Semaphore } from "../../src/std/semaphore.ts";

test("a breaker opens after failures in a row, lets one try in each period, and closes with a success", () => {
  const breaker = new Breaker({ failuresMax: 3, openMilliseconds: 100 });
  expect([breaker.failed(0), breaker.failed(1)]).toEqual([false, false]);
  breaker.succeeded();
  expect([breaker.failed(2), breaker.failed(3), breaker.failed(4)]).toEqual([false, false, true]);
  expect([breaker.allows(50), breaker.allows(103)]).toEqual([false, false]);
  expect([breaker.allows(104), breaker.allows(105)]).toEqual([true, false]);
  expect(breaker.failed(106)).toBe(false);
  expect([breaker.allows(150), breaker.allows(206)]).toEqual([false, true]);
  breaker.succeeded();
  expect([breaker.isClosed, breaker.allows(207)]).toEqual([true, true]);
});

test("a semaphore runs so many at a time, in order, and refuses beyond its bound", async () => {
  const semaphore = new Semaphore(2, 3);
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const all = gates.map((gate, n) =>
    semaphore.run(
      () => {
        begun.push(n);
        return gate.promise;
      },
      () => new Error("full"),
    ),
  );
  await expect(all[5]).rejects.toThrow("full");
  expect(begun).toEqual([0, 1]);
  gates[1]!.resolve();
  await all[1];
  expect(begun).toEqual([0, 1, 2]);
  gates[0]!.reject(new Error("own"));
  await expect(all[0]).rejects.toThrow("own");
  expect(begun).toEqual([0, 1, 2, 3]);
  for (const gate of gates) gate.resolve();
  await Promise.all(all.slice(1, 5));
  expect(begun).toEqual([0, 1, 2, 3, 4]);
});
