/** How a target is picked: nginx's sequence of smooth weighted round robin, the least busy, two choices, the bounded ring, the cookie. */
import { describe, expect, test } from "bun:test";

import type { Candidate } from "../../lb/balance/candidate.ts";
import { leastConnections } from "../../lb/balance/least_connections.ts";
import { Ring } from "../../lb/balance/ring.ts";
import { roundRobin, turnAtRandom } from "../../lb/balance/round_robin.ts";
import { cookieOf, stickyToken } from "../../lb/balance/sticky.ts";
import { twoChoices } from "../../lb/balance/two_choices.ts";
import { isSameText } from "../../src/std/same_text.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";
import { seeded } from "../harness/seeded.ts";

interface Some extends Candidate {
  readonly weight: number;
  share: number;
  requestsInFlight: number;
  requestsMax: number;
}

function targets(...weights: readonly number[]): Some[] {
  return weights.map((weight, index) => ({
    name: "abcdefgh"[index]!,
    weight,
    share: weight,
    current: 0,
    requestsInFlight: 0,
    requestsMax: Number.POSITIVE_INFINITY,
  }));
}

/** Names of what `pick` gives, one after the other. */
function sequence(picks: number, pick: () => Candidate | undefined): string {
  return Array.from({ length: picks }, () => pick()?.name ?? "-").join(" ");
}

/** How often each name is in a sequence. */
function counts(names: string): { [name: string]: number } {
  const found: { [name: string]: number } = {};
  for (const name of names.split(" ")) found[name] = (found[name] ?? 0) + 1;
  return found;
}

describe("smooth weighted round robin", () => {
  test.each([
    ["5, 1, 1 as nginx documents it", [5, 1, 1], "a a b a c a a"],
    ["3, 1", [3, 1], "a a b a"],
    ["equal weights take turns", [1, 1, 1], "a b c a b c"],
    ["4, 3, 2", [4, 3, 2], "a b c a b a c b a"],
    ["one target", [7], "a a a"],
  ])("%s", (_, weights, wanted) => {
    const of = targets(...weights);
    expect(sequence(wanted.split(" ").length, () => roundRobin(of, []))).toBe(wanted);
  });

  test.each([[[3, 1]], [[7, 5, 3]], [[100, 1]], [[2, 2, 2, 9]]])(
    "weights %j are exact over each full cycle, wherever it began",
    (weights) => {
      const of = targets(...weights);
      turnAtRandom(of, () => 0.6);
      const cycle = weights.reduce((sum, weight) => sum + weight, 0);
      for (let round = 0; round < 5; round++) {
        const found = counts(sequence(cycle, () => roundRobin(of, [])));
        expect(of.map(({ name }) => found[name] ?? 0)).toEqual([...weights]);
      }
    },
  );

  test.each([
    [0, "a"],
    [0.15, "a"],
    [0.3, "b"],
    [0.99, "a"],
  ])("begins where chance says: %d of a cycle of 5, 1, 1 has passed before %s", (random, wanted) => {
    const of = targets(5, 1, 1);
    turnAtRandom(of, () => random);
    expect(roundRobin(of, [])?.name).toBe(wanted);
  });

  test("among no targets there is none", () => {
    expect(roundRobin([], [])).toBeUndefined();
  });

  test("a target that was out gets no more than its share when it is back", () => {
    const [a, b] = targets(1, 1) as [Some, Some];
    sequence(3, () => roundRobin([a, b], []));
    sequence(100, () => roundRobin([a], []));
    expect(counts(sequence(10, () => roundRobin([a, b], [])))["b"]).toBeLessThanOrEqual(6);
  });
});

describe("whatever the balance", () => {
  const of = targets(1, 1, 1);
  const ring = new Ring(of);
  const balances: readonly (readonly [name: string, pick: (tried: readonly Some[]) => Some | undefined])[] = [
    ["round robin", (tried) => roundRobin(of, tried)],
    ["least connections", (tried) => leastConnections(of, tried)],
    ["two choices", (tried) => twoChoices(of, tried)],
    ["the ring", (tried) => ring.pick("192.0.2.1", tried)],
  ];

  test.each(balances)("%s skips what was tried and what is full", (_, pick) => {
    const [a, b, c] = of as [Some, Some, Some];
    expect(counts(sequence(20, () => pick([a, c])))).toEqual({ b: 20 });
    c.requestsMax = c.requestsInFlight = 2;
    expect(counts(sequence(20, () => pick([a])))).toEqual({ b: 20 });
    expect(pick([a, b])).toBeUndefined();
    c.requestsInFlight = 1;
    expect(pick([a, b])).toBe(c);
    c.requestsMax = Number.POSITIVE_INFINITY;
    c.requestsInFlight = 0;
  });
});

describe("least connections", () => {
  test.each([
    ["the least busy", [1, 1, 1], [3, 1, 2], "b"],
    ["for its weight", [4, 1], [3, 1], "a"],
    ["the first of equals, by weight", [1, 3], [0, 0], "b"],
  ])("picks %s", (_, weights, busy, wanted) => {
    const of = targets(...weights);
    for (const [index, requests] of busy.entries()) of[index]!.requestsInFlight = requests;
    expect(leastConnections(of, [])?.name).toBe(wanted);
  });

  test("spreads over an idle service like round robin", () => {
    const of = targets(5, 1, 1);
    expect(sequence(7, () => leastConnections(of, []))).toBe("a a b a c a a");
  });
});

describe("two choices", () => {
  test("over an idle service follow the weights", () => {
    const of = targets(3, 1);
    const random = seeded(7);
    const found = counts(sequence(10_000, () => twoChoices(of, [], random)));
    expect(found["a"]! / 10_000).toBeCloseTo(0.75, 1);
  });

  test("keep the busiest close to the mean where requests last", () => {
    const of = targets(1, 1, 1, 1, 1, 1, 1, 1);
    const random = seeded(11);
    for (let n = 0; n < 8_000; n++) twoChoices(of, [], random)!.requestsInFlight++;
    expect(Math.max(...of.map(({ requestsInFlight }) => requestsInFlight))).toBeLessThan(1_010);
  });
});

describe("the ring", () => {
  const clients = Array.from({ length: 2_000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  const owners = (of: readonly Some[]) => {
    const ring = new Ring(of);
    return clients.map((client) => ring.pick(client, [])!.name);
  };

  test("leads a client to the same target each time, and in every process", () => {
    expect(owners(targets(1, 1, 1))).toEqual(owners(targets(1, 1, 1)));
  });

  test("gives each target about its share", () => {
    const found = counts(owners(targets(1, 1, 2)).join(" "));
    expect(found["a"]! / clients.length).toBeCloseTo(0.25, 1);
    expect(found["b"]! / clients.length).toBeCloseTo(0.25, 1);
    expect(found["c"]! / clients.length).toBeCloseTo(0.5, 1);
  });

  test("moves only the clients of a target that goes", () => {
    const of = targets(1, 1, 1, 1);
    const before = owners(of);
    const after = owners(of.slice(0, 3));
    expect(before.filter((owner, n) => owner !== "d" && owner !== after[n])).toEqual([]);
    expect(before.filter((owner) => owner === "d").length).toBeGreaterThan(300);
  });

  test("gives no target more than a quarter above its share, even of one client's requests", () => {
    const of = targets(1, 1, 1, 1);
    const ring = new Ring(of);
    for (let n = 0; n < 400; n++) ring.pick("192.0.2.7", [])!.requestsInFlight++;
    expect(Math.max(...of.map(({ requestsInFlight }) => requestsInFlight))).toBeLessThanOrEqual(126);
  });

  test("is made anew only for other members or weights", () => {
    const [a, b] = targets(1, 1) as [Some, Some];
    const ring = new Ring([a, b]);
    expect(ring.isOf([a, b])).toBe(true);
    expect(ring.isOf([a])).toBe(false);
    expect(ring.isOf([b, a])).toBe(false);
    Object.assign(b, { weight: 2 });
    expect(ring.isOf([a, b])).toBe(false);
  });

  test("counts a share that is small for now", () => {
    const of = targets(1, 1);
    of[0]!.share = 0.1;
    const ring = new Ring(of);
    for (let n = 0; n < 110; n++) ring.pick(clients[n]!, [])!.requestsInFlight++;
    expect(of[0]!.requestsInFlight).toBeLessThanOrEqual(13);
  });
});

describe("the sticky cookie", () => {
  const fields = (...lines: readonly string[]) => {
    const parser = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 100 });
    const bytes = Buffer.from(["GET / HTTP/1.1", "Host: a", ...lines, "", ""].join("\r\n"));
    parser.feed(bytes, 0, bytes.length);
    return parser.fields;
  };

  test.each([
    ["alone", ["Cookie: lb=x"], "x"],
    ["among others", ["Cookie: a=1; lb=x; b=2"], "x"],
    ["in a second field", ["Cookie: a=1", "Cookie: lb=x"], "x"],
    ["not where a name only ends like it", ["Cookie: xlb=x; b=lb=y"], ""],
    ["not where there is none", [], ""],
  ])("is found %s", (_, lines, wanted) => {
    expect(cookieOf(fields(...lines), "lb")).toBe(wanted);
  });

  test("is another for each key, service and target, and says none of them", () => {
    const tokens = [
      stickyToken("key one, long enough", "shop", "10.0.0.1:80"),
      stickyToken("key two, long enough", "shop", "10.0.0.1:80"),
      stickyToken("key one, long enough", "blog", "10.0.0.1:80"),
      stickyToken("key one, long enough", "shop", "10.0.0.2:80"),
    ];
    expect(new Set(tokens).size).toBe(4);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{22}$/);
  });

  test.each([
    ["abc", "abc", true],
    ["abc", "abd", false],
    ["abc", "ab", false],
    ["", "", true],
  ])("%j and %j are the same: %p", (one, other, wanted) => expect(isSameText(one, other)).toBe(wanted));
});
