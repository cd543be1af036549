import { expect, test } from "bun:test";

import { dangersOf } from "../../src/store/queue/redis_dangers.ts";

const info = (policy: string, maxmemory: string, aof: string) =>
  `# Memory\r\nmaxmemory:${maxmemory}\r\nmaxmemory_policy:${policy}\r\n# Persistence\r\naof_enabled:${aof}\r\n`;

test("a Redis that neither evicts nor forgets is set up for a queue", () => {
  expect(dangersOf(info("noeviction", "0", "1"))).toEqual([]);
  expect(dangersOf("# an answer that says nothing\r\n")).toEqual([]);
});

test.each(["allkeys-lru", "volatile-ttl"])("a policy of %s is told, with what it is and what to set", (policy) => {
  const [danger, ...more] = dangersOf(info(policy, "1000000", "1"));
  expect(more).toEqual([]);
  expect(danger).toContain(
    `deletes jobs when its memory is full: maxmemory-policy is ${policy}, a queue needs noeviction`,
  );
  expect(danger).toContain("CONFIG SET maxmemory-policy noeviction");
  expect(dangersOf(info(policy, "0", "1"))[0]).toContain("as soon as maxmemory is set");
});

test("a Redis without an append-only file is told", () => {
  expect(dangersOf(info("noeviction", "0", "0"))).toEqual([expect.stringContaining("CONFIG SET appendonly yes")]);
});
