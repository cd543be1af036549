/** The health of a target: every transition of the drawing in lb/health/state.ts, and who may be routed to. */
import { describe, expect, test } from "bun:test";

import { type CheckResult, type Health, isInTransition, next, routableOf, unknown } from "../../lb/health/state.ts";

const thresholds = { healthRise: 2, healthFall: 3 };
const results: { readonly [letter: string]: CheckResult } = {
  p: { kind: "pass" },
  f: { kind: "fail", reason: "refused" },
  d: { kind: "draining", reason: "it says so" },
};

/** State after each result: after("pff") = the states after p, after pf, after pff. */
function states(sequence: string, from = unknown): string {
  let health = from;
  return sequence
    .split("")
    .map((letter) => (health = next(health, results[letter]!, thresholds)).state[0])
    .join("");
}

function after(sequence: string): Health {
  return sequence.split("").reduce((health, letter) => next(health, results[letter]!, thresholds), unknown);
}

describe("a target", () => {
  test.each([
    ["joins on its first pass", "p", "h"],
    ["joins on its first pass after failures", "ffp", "jjh"],
    ["is unhealthy when it has never passed", "fff", "jju"],
    ["stays healthy through failures that are not in a row", "pffpffpff", "hhhhhhhhh"],
    ["falls after three failures in a row", "pfff", "hhhu"],
    ["rises after two passes in a row", "pfffpp", "hhhuuh"],
    ["does not rise after passes that are not in a row", "pfffpfpfp", "hhhuuuuuu"],
    ["drains at once", "pd", "hd"],
    ["drains at once while joining", "d", "d"],
    ["drains at once when unhealthy", "pfffd", "hhhud"],
    ["must rise again after draining", "pdpp", "hddh"],
    ["is unhealthy when it is gone after draining", "pdfpp", "hduuh"],
    ["forgets passes when it drains again", "pdpdpp", "hddddh"],
  ])("%s", (_, sequence, wanted) => {
    expect(states(sequence)).toBe(wanted);
  });

  test.each([
    ["", true],
    ["f", true],
    ["p", false],
    ["pf", true],
    ["pfff", false],
    ["pfffp", true],
    ["pd", false],
    ["pdp", true],
  ])("after %j is watched closely: %p", (sequence, wanted) => {
    expect(isInTransition(after(sequence))).toBe(wanted);
  });
});

describe("routed to", () => {
  const routable = (...sequences: readonly string[]) => {
    const healths = new Map(sequences.map((sequence, index) => [index, after(sequence)]));
    return routableOf([...healths.keys()], (index) => healths.get(index)!);
  };

  test("are all while nothing is known of any", () => expect(routable("", "")).toEqual([0, 1]));
  test("is not a new target before its first pass", () => expect(routable("p", "")).toEqual([0]));
  test("is none when the one that is known has failed", () => expect(routable("f", "")).toEqual([]));
  test("are the healthy ones", () => expect(routable("p", "pfff", "pd", "pf")).toEqual([0, 3]));
  test("is none when all are out", () => expect(routable("pfff", "pd")).toEqual([]));
});
