import { expect, test } from "bun:test";

import { Reads } from "../../src/store/redis/reads.ts";

const echo = (keys: readonly string[]) =>
  Promise.resolve(keys.map((key) => (key === "" ? null : `the value of ${key}`)));
const late = (budgetMs: number) => new Error(`late after ${budgetMs}`);

/** Reads that note what they asked for together. */
function noted(ask = echo) {
  const asked: (readonly string[])[] = [];
  const reads = new Reads((keys) => {
    asked.push(keys);
    return ask(keys);
  }, late);
  return { reads, asked };
}

test("what is read in one turn of the loop is asked for together, and the next turn's by itself", async () => {
  const { reads, asked } = noted();
  const first = await Promise.all([reads.read("a", undefined), reads.read("", undefined), reads.read("a", undefined)]);
  expect(first).toEqual(["the value of a", null, "the value of a"]);
  expect(await reads.read("b", undefined)).toBe("the value of b");
  expect(asked).toEqual([["a", "", "a"], ["b"]]);
});

test("who has a budget does not wait with who has another", async () => {
  const { reads, asked } = noted((keys) => (keys.includes("slow") ? new Promise(() => {}) : echo(keys)));
  const slow = reads.read("slow", 5);
  const others = Promise.all([reads.read("a", 60_000), reads.read("b", undefined)]);
  expect(await slow.catch(String)).toBe("Error: late after 5");
  expect(await others).toEqual(["the value of a", "the value of b"]);
  expect(asked).toEqual([["slow"], ["a"], ["b"]]);
});

test("one question has at most 256 keys", async () => {
  const { reads, asked } = noted();
  const keys = Array.from({ length: 600 }, (_, index) => String(index));
  const values = await Promise.all(keys.map((key) => reads.read(key, 1_000)));
  expect(values).toEqual(keys.map((key) => `the value of ${key}`));
  expect(asked.map(({ length }) => length)).toEqual([256, 256, 88]);
});

test("all who asked together hear of its failure, and those who ask later do not", async () => {
  let isUp = false;
  const { reads } = noted((keys) => (isUp ? echo(keys) : Promise.reject(new Error("away"))));
  const failures = await Promise.all(["a", "b"].map((key) => reads.read(key, 1_000).catch(String)));
  expect(failures).toEqual(["Error: away", "Error: away"]);
  isUp = true;
  expect(await reads.read("a", 1_000)).toBe("the value of a");
});
