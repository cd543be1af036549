/** Which polls make a replica one to read from, and how positions compare. */
import { describe, expect, test } from "bun:test";

import { rendezvous } from "../../src/std/rendezvous.ts";
import { formatLsn, hasPassed, later, parseLsn } from "../../src/store/sql/position.ts";
import { afterPoll, type Poll, type ReplicaState, unknownReplica } from "../../src/store/sql/replica_state.ts";

const position = { timeline: 1, lsn: 5n };
const fresh: Poll = { kind: "answer", position, lagMilliseconds: 0 };
const half: Poll = { kind: "answer", position, lagMilliseconds: 600 };
const late: Poll = { kind: "answer", position, lagMilliseconds: 1_001 };
const failure: Poll = { kind: "failure", reason: "gone" };

function after(...polls: readonly Poll[]): ReplicaState {
  return polls.reduce((state, poll) => afterPoll(state, poll, 1_000), unknownReplica);
}

describe("a replica", () => {
  test.each<[string, readonly Poll[], ReplicaState["phase"]]>([
    ["joins with its first answer", [fresh], "in"],
    ["that is late from the start stays out", [late], "out"],
    ["survives two failures in a row", [fresh, failure, failure, fresh], "in"],
    ["is out after three", [fresh, failure, failure, failure], "out"],
    ["never seen is out after three too", [failure, failure, failure], "out"],
    ["is out at once when it is too far behind", [fresh, late], "out"],
    ["is not back after three good answers", [late, fresh, fresh, fresh], "out"],
    ["is back after four", [late, fresh, fresh, fresh, fresh], "in"],
    ["must be under half the limit to come back", [late, half, half, half, half, half], "out"],
    ["begins to count anew when it falls behind", [late, fresh, fresh, half, fresh, fresh, fresh], "out"],
    ["may be between half and the limit while it is in", [fresh, half, half], "in"],
  ])("%s", (_, polls, phase) => {
    expect(after(...polls).phase).toBe(phase);
  });

  test("says why it is out, and nothing once it is in", () => {
    expect(after(fresh, failure, failure, failure).reason).toBe("gone");
    expect(after(late).reason).toBe("it is 1001 ms behind, more than 1000");
    expect(after(late, fresh, fresh, fresh, fresh).reason).toBeUndefined();
  });
});

describe("a position", () => {
  test.each([
    ["0/0", 0n],
    ["16/B374D848", 0x16_b374_d848n],
    ["FFFFFFFF/FFFFFFFF", 0xffff_ffff_ffff_ffffn],
  ])("%s is read and written", (text, lsn) => {
    expect(parseLsn(text)).toBe(lsn);
    expect(formatLsn(lsn)).toBe(text);
  });

  test.each(["", "0", "0/", "/0", "0/0/0", "123456789/0", "0/G", " 0/0"])("%p is none", (text) => {
    expect(parseLsn(text)).toBeUndefined();
  });

  test("is passed on its own timeline only", () => {
    expect(hasPassed({ timeline: 1, lsn: 5n }, { timeline: 1, lsn: 5n })).toBe(true);
    expect(hasPassed({ timeline: 1, lsn: 4n }, { timeline: 1, lsn: 5n })).toBe(false);
    expect(hasPassed({ timeline: 2, lsn: 9n }, { timeline: 1, lsn: 5n })).toBe(false);
    expect(later({ timeline: 2, lsn: 1n }, { timeline: 1, lsn: 5n }).timeline).toBe(2);
  });
});

describe("rendezvous", () => {
  const names = ["a", "b", "c"].map((name) => ({ name }));
  const keys = Array.from({ length: 3_000 }, (_, n) => `key ${n}`);

  test("spreads keys evenly", () => {
    const counts = Map.groupBy(keys, (key) => rendezvous(key, names)!.name);
    for (const list of counts.values()) expect(Math.abs(list.length - 1_000)).toBeLessThan(150);
  });

  test("moves only the keys of a name that leaves", () => {
    for (const key of keys) {
      const before = rendezvous(key, names)!.name;
      if (before !== "b")
        expect(
          rendezvous(
            key,
            names.filter(({ name }) => name !== "b"),
          )!.name,
        ).toBe(before);
    }
  });

  test("of no names is none", () => {
    expect(rendezvous("key", [])).toBeUndefined();
  });
});
