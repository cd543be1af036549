/** Where a key is in a Cluster, and what its servers say about it. */
import { expect, test } from "bun:test";

import { hostIn, redirectIn, slotOf, slotsIn } from "../../src/store/redis/slots.ts";

// From the Cluster specification and from CLUSTER KEYSLOT of Redis 7.0.
test.each([
  ["123456789", 12_739],
  ["foo", 12_182],
  ["{user1000}.following", 3_443],
  ["user1000", 3_443],
  ["foo{}{bar}", 8_363],
  ["foo{{bar}}zap", 4_015],
  ["foo{bar}{zap}", 5_061],
  ["", 0],
  ["ünï", 9_441],
])("%j is in slot %d", (key, slot) => expect(slotOf(key)).toBe(slot));

test("each slot has the primary that was told, and a server that does not know its name is the one that was asked", () => {
  const slots = slotsIn(
    [
      [0, 5, ["10.0.0.1", 7000, "id"], ["10.0.0.9", 7000, "replica"]],
      [6, 10, ["", 7001, "id"]],
      [11, 11, [null, 7001, "id"]],
      [12, 16_383, ["::1", 7002, "id"]],
    ],
    "asked",
  );
  expect([0, 5, 6, 11, 12, 16_383].map((slot) => slots.ownerOf(slot))).toEqual([
    "10.0.0.1:7000",
    "10.0.0.1:7000",
    "asked:7001",
    "asked:7001",
    "[::1]:7002",
    "[::1]:7002",
  ]);
  expect([...slots.addresses]).toEqual(["10.0.0.1:7000", "asked:7001", "[::1]:7002"]);
  slots.assign(5, 5, "asked:7001");
  expect([slots.ownerOf(4), slots.ownerOf(5)]).toEqual(["10.0.0.1:7000", "asked:7001"]);
  expect(slotsIn([[3, 4, ["a", 1]]], "asked").ownerOf(2)).toBeUndefined();
});

test.each([
  ["MOVED 3999 127.0.0.1:6381", { kind: "moved", slot: 3_999, address: "127.0.0.1:6381" }],
  ["MOVED 3999 ::1:6381", { kind: "moved", slot: 3_999, address: "[::1]:6381" }],
  ["ASK 0 :6381", { kind: "ask", slot: 0, address: "asked:6381" }],
  ["TRYAGAIN Multiple keys request during rehashing of slot", { kind: "tryagain" }],
] as const)("%s", (text, expected) => expect(redirectIn(text, "asked")).toEqual(expected));

test.each(["CLUSTERDOWN The cluster is down", "ERR MOVED 1 a:2"])("%s is no redirect", (text) => {
  expect(redirectIn(text, "asked")).toBeUndefined();
});

test("a host is told from its port", () => {
  expect(["a:1", "[::1]:2"].map(hostIn)).toEqual(["a", "::1"]);
});
