/**
 * What is known of one target and what the operator wants of it. Pure: a state and an event give the next state; probing and timing
 * are checker.ts'.
 *
 *     joining ──pass──▶ healthy ──fail × fall──▶ unhealthy ──pass × rise──▶ healthy
 *        │                 │                          ▲
 *        ├─ fail × fall ───┼──────────────────────────┤
 *        │                 └─ draining ──▶ draining ──┴─ fail        draining ──pass × rise──▶ healthy
 *        └─ draining ──▶ draining                                    unhealthy ──draining──▶ draining
 *
 *     any ──drain──▶ drained ──undrain──▶ joining
 *
 * A target that has never passed joins on its first pass; one that was out must prove itself `rise` times. Draining counts at once:
 * the target says itself that it wants no more. Drained is the operator's word: no check takes it back, and after it the target joins
 * like a new one, because what was known of it is from before.
 */
import { ScaleError } from "../../src/std/errors.ts";

export type HealthState = "joining" | "healthy" | "unhealthy" | "draining" | "drained";

export type CheckResult =
  | { readonly kind: "pass" }
  | { readonly kind: "fail"; readonly reason: string }
  | { readonly kind: "draining"; readonly reason: string };

/** What the operator asks for. */
export type Order = { readonly kind: "drain" } | { readonly kind: "undrain" };

export interface Health {
  readonly state: HealthState;
  /** In a row, up to the last result. */
  readonly passes: number;
  readonly fails: number;
}

export interface Thresholds {
  readonly healthRise: number;
  readonly healthFall: number;
}

export const unknown: Health = { state: "joining", passes: 0, fails: 0 };

/** Whether no check of the target has come to a result. */
export function isUnknown({ state, fails }: Health): boolean {
  return state === "joining" && fails === 0;
}

/** Whether the next result may change the state, so that it should come soon. */
export function isInTransition({ state, passes, fails }: Health): boolean {
  return state === "joining" || (state === "healthy" ? fails > 0 : passes > 0);
}

export function next(health: Health, event: CheckResult | Order, thresholds: Thresholds): Health {
  switch (event.kind) {
    case "drain":
      return { state: "drained", passes: 0, fails: 0 };
    case "undrain":
      return health.state === "drained" ? unknown : health;
    default:
      if (health.state !== "drained") return afterCheck(health, event, thresholds);
      throw new ScaleError(
        "illegal_transition",
        `health: a drained target is not checked, and this one got ${event.kind}`,
      );
  }
}

function afterCheck(health: Health, result: CheckResult, thresholds: Thresholds): Health {
  switch (result.kind) {
    case "draining":
      return { state: "draining", passes: 0, fails: 0 };
    case "pass":
      return afterPass(health, thresholds);
    case "fail":
      return afterFail(health, thresholds);
  }
}

function afterPass({ state, passes }: Health, { healthRise }: Thresholds): Health {
  const inRow = Math.min(passes + 1, healthRise);
  const isIn = state === "joining" || state === "healthy" || inRow >= healthRise;
  return { state: isIn ? "healthy" : state, passes: inRow, fails: 0 };
}

function afterFail({ state, fails }: Health, { healthFall }: Thresholds): Health {
  const inRow = Math.min(fails + 1, healthFall);
  const isOut = state === "draining" || inRow >= healthFall;
  return { state: isOut ? "unhealthy" : state, passes: 0, fails: inRow };
}
