/** The health of a target: every transition of the drawing in lb/health/state.ts, and who may be routed to. */
import { describe, expect, test } from "bun:test";

import { slowPart } from "../../lb/balance/slow_start.ts";
import { mayEject, routingOf, slowStarts } from "../../lb/health/routing.ts";
import {
  ejectionLasts,
  type Health,
  type HealthEvent,
  type HealthState,
  isInTransition,
  next,
  unknown,
} from "../../lb/health/state.ts";

const seconds = 1_000;
const rules = { healthRise: 2, healthFall: 3, ejectionTime: 30 * seconds, ejectionTimeMax: 300 * seconds };
const events: { readonly [letter: string]: HealthEvent } = {
  f: { kind: "fail", reason: "refused" },
  d: { kind: "draining", reason: "it says so" },
  e: { kind: "errors", reason: "5 errors in a row" },
  o: { kind: "over" },
  D: { kind: "drain" },
  U: { kind: "undrain" },
};
/** One letter a state. */
const letters: { readonly [S in HealthState]: string } = {
  joining: "j",
  healthy: "h",
  ejected: "e",
  unhealthy: "u",
  draining: "d",
  drained: "D",
};

/** The health after each event; "." lets a second pass. "p" is a check that began and passed now, "q" one that began a second ago. */
function histories(sequence: string): Health[] {
  let health = unknown;
  let now = 0;
  const all: Health[] = [];
  for (const letter of sequence) {
    if (letter === ".") now += seconds;
    else all.push((health = next(health, eventOf(letter, now), rules, now)));
  }
  return all;
}

function eventOf(letter: string, now: number): HealthEvent {
  if (letter === "p") return { kind: "pass", begunAt: now };
  if (letter === "q") return { kind: "pass", begunAt: now - seconds };
  return events[letter]!;
}

const after = (sequence: string) => histories(sequence).at(-1) ?? unknown;
const states = (sequence: string) => histories(sequence).map(({ state }) => letters[state]);
const wait = (time: number) => ".".repeat(time);

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
    ["drains at once when ejected", "ped", "hed"],
    ["must rise again after draining", "pdpp", "hddh"],
    ["is unhealthy when it is gone after draining", "pdfpp", "hduuh"],
    ["forgets passes when it drains again", "pdpdpp", "hddddh"],
    ["is drained by the operator from any state", "D", "D"],
    ["is drained by the operator when healthy, and joins anew when it may", "pDUp", "hDjh"],
    ["is drained by the operator while it drains itself", "pdDUd", "hdDjd"],
    ["is drained by the operator while ejected, whatever its ejection does", "peDo", "heDD"],
    ["is not asked twice to drain", "pDD", "hDD"],
    ["that is in is left as it is by undrain", "pfffU", "hhhuu"],
    ["is ejected for what requests meet", "pe", "he"],
    ["is ejected only while it is healthy", "efDe", "jjDD"],
    ["returns when its ejection is over", "peo", "heh"],
    ["returns on the first pass after its first ejection", "pe.p", "heh"],
    ["does not return for a check that began before its ejection", "pe.q", "hee"],
    ["returns for one that began after it", "pe..q", "heh"],
    ["returns after two passes when it is ejected again", "pe.pe.pp", "heheeh"],
    ["returns after three passes the third time in a row", "pe.pe.ppe.ppp", "heheeheeeh"],
    ["returns on the first pass again when a row has ended", `pe.pe.pp${wait(60)}e.p`, "heheeheh"],
    ["does not count a check that began before its ejection", "pe.pe.qpp", "heheeeh"],
    ["returns when its ejection is over although more passes were needed", "pe.pe.po", "heheeh"],
    ["that fails a check while it is ejected is unhealthy, and rises as such", "pefpp", "heuuh"],
    ["is not brought back by the end of an ejection when a check has failed", "pefo", "heuu"],
  ])("%s", (_, sequence, wanted) => {
    expect(states(sequence).join("")).toBe(wanted);
  });

  test.each([
    ["is 30 s the first time", "pe", 30],
    ["is 60 s the second time in a row", "peoe", 60],
    ["is 90 s the third time in a row", `peo${wait(29)}eo${wait(59)}e`, 90],
    ["is 300 s at most", `p${"eo".repeat(20)}e`, 300],
    ["is 30 s again when it was in for as long as the last one", `peo${wait(30)}e`, 30],
    ["is 30 s again after the operator drained it", "peoDUpe", 30],
  ])("its ejection %s", (_, sequence, wanted) => {
    expect(ejectionLasts(after(sequence), rules)).toBe(wanted * seconds);
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
    ["pe", false],
    ["pe.pe.p", true],
    ["pe.pe.q", false],
  ])("after %j is watched closely: %p", (sequence, wanted) => {
    expect(isInTransition(after(sequence))).toBe(wanted);
  });

  test("that is drained is not checked: a result for it is a fault of the balancer", () => {
    expect(() => after("Dp")).toThrow("a drained target is not checked");
  });
});

describe("routing", () => {
  const routing = (sequences: readonly string[], panicPercent: number) => {
    const { routings, isPanic } = routingOf(sequences.map(after), panicPercent);
    return `${routings.map((each) => each[0]).join("")}${isPanic ? " panic" : ""}`;
  };

  test.each<[what: string, sequences: readonly string[], wanted: string]>([
    ["goes to all while nothing is known of any", ["", ""], "rr"],
    ["does not go to a new target before its first pass", ["p", ""], "ro"],
    ["goes nowhere when the one that is known has failed", ["f", ""], "oo"],
    ["goes to the healthy ones", ["p", "pfff", "pd", "pf"], "rodr"],
    ["does not go to a drained one", ["p", "pD", "D"], "rdd"],
    ["goes to all that are wanted while nothing is known of any of those", ["", "pD"], "rd"],
    ["does not go to an ejected one", ["p", "pe"], "ro"],
    ["goes to all when less than half are healthy", ["p", "pfff", "pfff"], "rrr panic"],
    ["does not when half are", ["p", "pfff"], "ro"],
    ["goes to ejected ones too then", ["p", "pe", "pfff"], "rrr panic"],
    ["goes to the only one although it is unhealthy", ["pfff"], "r panic"],
    ["goes to all when none has ever passed", ["fff", "fff"], "rr panic"],
    ["in a panic does not go to what drains, or is new", ["p", "pfff", "pfff", "pd", "pD", "f"], "rrrddo panic"],
    ["does not take new targets that never pass for a panic", ["p", "fff", "fff"], "roo"],
    ["does not take targets that drain for a panic", ["p", "pd", "pd"], "rdd"],
  ])("%s", (_, sequences, wanted) => {
    expect(routing(sequences, 50)).toBe(wanted);
  });

  test("never panics at 0 percent", () => expect(routing(["pfff", "pfff"], 0)).toBe("oo"));
});

describe("a target may be ejected", () => {
  test.each<[sequences: readonly string[], percent: number, wanted: boolean]>([
    [["p", "p"], 50, true],
    [["p"], 100, false],
    [["p", "pfff"], 100, false],
    [["p", "p", "p"], 50, true],
    [["p", "p", "pe"], 50, false],
    [["p", "p", "pe"], 100, true],
    [["p", "p", "pe", "p"], 50, true],
    [["p", "p", "pe", "pe"], 50, false],
    [["p", "p", "pD", "pD"], 50, true],
    [["p", "p"], 0, false],
  ])("beside %j, at most %d percent: %p", (sequences, percent, wanted) => {
    expect(mayEject(sequences.map(after), percent)).toBe(wanted);
  });
});

describe("a slow start", () => {
  const starts = (sequences: readonly string[]) => slowStarts(sequences.map(after), 10 * seconds);

  test.each<[what: string, sequences: readonly string[], wanted: readonly number[]]>([
    ["is for who joins beside one that is warm", [`p`, `${wait(10)}p`], [0, 10 * seconds]],
    ["is for who returns beside one that is warm", ["p", `pfff${wait(12)}pp`], [0, 12 * seconds]],
    ["is for nobody where all start together", ["p", ".p", "...p"], [0, 0, 0]],
    ["is for nobody where all have been out", [`pfff${wait(20)}pp`, `pfff${wait(21)}pp`], [0, 0]],
    ["is for nobody beside one that is not in", ["pfff", `${wait(20)}p`], [0, 0]],
  ])("%s", (_, sequences, wanted) => {
    expect(starts(sequences)).toEqual([...wanted]);
  });

  test("goes from a tenth to all of the share, linearly", () => {
    expect([-5, 0, 2.5, 5, 10, 60].map((age) => slowPart(age, 10))).toEqual([0.1, 0.1, 0.325, 0.55, 1, 1]);
  });
});
