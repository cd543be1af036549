/** The health of a target: every transition of the drawing in lb/health/state.ts, and who may be routed to. */
import { describe, expect, test } from "bun:test";

import { routingOf } from "../../lb/health/routing.ts";
import { type CheckResult, type Health, isInTransition, next, type Order, unknown } from "../../lb/health/state.ts";

const thresholds = { healthRise: 2, healthFall: 3 };
const events: { readonly [letter: string]: CheckResult | Order } = {
  p: { kind: "pass" },
  f: { kind: "fail", reason: "refused" },
  d: { kind: "draining", reason: "it says so" },
  D: { kind: "drain" },
  U: { kind: "undrain" },
};

/** The first letters of the states after each event (u: unhealthy), drained as "o". */
function states(sequence: string, from = unknown): string {
  let health = from;
  return sequence
    .split("")
    .map((letter) => (health = next(health, events[letter]!, thresholds)).state)
    .map((state) => (state === "drained" ? "o" : state[0]))
    .join("");
}

function after(sequence: string): Health {
  return sequence.split("").reduce((health, letter) => next(health, events[letter]!, thresholds), unknown);
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
    ["is drained by the operator from any state", "D", "o"],
    ["is drained by the operator when healthy, and joins anew when it may", "pDUp", "hojh"],
    ["is drained by the operator while it drains itself", "pdDUd", "hdojd"],
    ["is not asked twice to drain", "pDD", "hoo"],
    ["that is in is left as it is by undrain", "pfffU", "hhhuu"],
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

test("a drained target is not checked: a result for it is a fault of the balancer", () => {
  expect(() => after("Dp")).toThrow("a drained target is not checked");
});

describe("routing", () => {
  test.each<[what: string, sequences: readonly string[], wanted: string]>([
    ["goes to all while nothing is known of any", ["", ""], "rr"],
    ["does not go to a new target before its first pass", ["p", ""], "ro"],
    ["goes nowhere when the one that is known has failed", ["f", ""], "oo"],
    ["goes to the healthy ones", ["p", "pfff", "pd", "pf"], "rodr"],
    ["goes nowhere when all are out", ["pfff", "pd"], "od"],
    ["does not go to a drained one", ["p", "pD", "D"], "rdd"],
    ["goes to all that are wanted while nothing is known of any of those", ["", "pD"], "rd"],
  ])("%s", (_, sequences, wanted) => {
    expect(
      routingOf(sequences.map(after))
        .map((routing) => routing[0])
        .join(""),
    ).toBe(wanted);
  });
});
