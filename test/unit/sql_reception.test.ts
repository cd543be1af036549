/** How long a standby has heard nothing, where its receiver says so and where only the primary knows. */
import { describe, expect, test } from "bun:test";

import { Reception } from "../../src/store/sql/reception.ts";

/** Asked at 1,000 of silence; the primary's answers are given by the test. */
function reception() {
  const asked: PromiseWithResolvers<bigint>[] = [];
  const ask = () => {
    asked.push(Promise.withResolvers<bigint>());
    return asked.at(-1)!.promise;
  };
  return { asked, reception: new Reception(ask, 1_000, 0) };
}

describe("a standby", () => {
  test("whose receiver has just heard of its primary is not silent, and nobody asks the primary", () => {
    const { asked, reception: one } = reception();
    for (let now = 0; now <= 60_000; now += 250) expect(one.silence({ messageAge: 200, lsn: 1n }, now)).toBe(0);
    expect(asked).toHaveLength(0);
  });

  test("that hears nothing and has not received where the primary's log ends is silent for longer and longer", async () => {
    const { asked, reception: one } = reception();
    expect(one.silence({ messageAge: 1_500, lsn: 5n }, 1_500)).toBe(0);
    asked[0]!.resolve(6n);
    await Bun.sleep(0);
    for (let now = 3_000; now <= 30_000; now += 250) {
      expect(one.silence({ messageAge: now, lsn: 5n }, now)).toBe(now);
    }
    expect(asked).toHaveLength(1);
  });

  test("that hears nothing and has all there is had everything when that was asked", async () => {
    const { asked, reception: one } = reception();
    one.silence({ messageAge: 9_000, lsn: 5n }, 9_000);
    asked[0]!.resolve(5n);
    await Bun.sleep(0);
    expect(one.silence({ messageAge: 9_250, lsn: 5n }, 9_250)).toBe(0);
    expect(one.silence({ messageAge: 11_100, lsn: 5n }, 11_100)).toBe(11_100 - 9_000);
  });

  test("whose primary does not answer stays silent, and the primary is asked again once it has failed to", async () => {
    const { asked, reception: one } = reception();
    expect(one.silence({ messageAge: 5_000, lsn: 5n }, 5_000)).toBe(5_000);
    expect(one.silence({ messageAge: 6_000, lsn: 5n }, 6_000)).toBe(6_000);
    expect(asked).toHaveLength(1);
    asked[0]!.reject(new Error("gone"));
    await Bun.sleep(0);
    expect(one.silence({ messageAge: 7_000, lsn: 5n }, 7_000)).toBe(7_000);
    expect(asked).toHaveLength(2);
  });

  test("that may not see its receiver goes by the primary alone", async () => {
    const { asked, reception: one } = reception();
    for (let now = 1_250; now <= 20_000; now += 250) {
      expect(one.silence({ messageAge: undefined, lsn: 7n }, now)).toBe(0);
      for (const each of asked) each.resolve(7n);
      await Bun.sleep(0);
    }
    expect(asked.length).toBeGreaterThan(5);
  });
});
