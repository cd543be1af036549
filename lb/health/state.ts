/**
 * What is known of one target, from checks and from requests, and what the operator wants of it. Pure: a state and an event give the
 * next state; probing and timing are elsewhere (checker.ts, control/member.ts).
 *
 *     joining ──pass──▶ healthy ──fail × fall──▶ unhealthy ──pass × rise──▶ healthy
 *        │              │     ▲                      ▲
 *        │            errors  │ over, or pass × its  │
 *        │              ▼     │ ejections in a row   │
 *        │             ejected ─────────fail─────────┤
 *        └─────────────────────────fail × fall───────┘
 *
 *     joining, healthy, ejected, unhealthy ──draining──▶ draining ──pass × rise──▶ healthy
 *                                                            └──────fail─────────▶ unhealthy
 *     any ──drain──▶ drained ──undrain──▶ joining
 *
 * A target that has never passed joins on its first pass; one that was out must prove itself `rise` times. Draining counts at once:
 * the target says itself that it wants no more. Drained is the operator's word: no check takes it back, and after it the target joins
 * like a new one, because what was known of it is from before.
 *
 * Ejected is what requests have met. A check that fails agrees with them, so that one is enough; what rises after it was down and is
 * back, and need not wait. A check that passes says that it is back, if it began after the ejection: an earlier one may have been answered
 * before the requests failed. But checks may not see what requests meet, and an application whose /readyz passes while its pages fail
 * would be out and in for ever: so the n-th ejection in a row takes n passes in a row. Where they do not come it ends by itself, after
 * n × ejectionTime, up to ejectionTimeMax. The row ends when the target has been in for as long as its last ejection could last. After
 * Envoy's outlier detection, where one pass always readmits.
 */
import { ScaleError } from "../../src/std/errors.ts";

export const healthStates = ["joining", "healthy", "ejected", "unhealthy", "draining", "drained"] as const;
export type HealthState = (typeof healthStates)[number];

export type CheckResult =
  /** When the check began, in milliseconds since the epoch. */
  | { readonly kind: "pass"; readonly begunAt: number }
  | { readonly kind: "fail"; readonly reason: string }
  | { readonly kind: "draining"; readonly reason: string };

/** What the operator asks for. */
export type Order = { readonly kind: "drain" } | { readonly kind: "undrain" };

export type HealthEvent =
  | CheckResult
  | Order
  /** Requests failed one after the other. */
  | { readonly kind: "errors"; readonly reason: string }
  /** The ejection has lasted as long as it should. */
  | { readonly kind: "over" };

export interface Health {
  readonly state: HealthState;
  /** When the state began, in milliseconds since the epoch. */
  readonly since: number;
  /** Checks in a row, up to the last result. */
  readonly passes: number;
  readonly fails: number;
  /** Whether it was ever healthy since it joined. */
  readonly hasPassed: boolean;
  /** Ejections in a row. */
  readonly ejections: number;
}

export interface HealthRules {
  readonly healthRise: number;
  readonly healthFall: number;
  /** Milliseconds that the first ejection in a row lasts, and that none lasts longer than. */
  readonly ejectionTime: number;
  readonly ejectionTimeMax: number;
}

export const unknown: Health = { state: "joining", since: 0, passes: 0, fails: 0, hasPassed: false, ejections: 0 };

/** Whether no check of the target has come to a result. */
export function isUnknown({ state, fails }: Health): boolean {
  return state === "joining" && fails === 0;
}

/** Whether the next result may change the state, so that it should come soon. */
export function isInTransition({ state, passes, fails }: Health): boolean {
  return state === "joining" || (state === "healthy" ? fails > 0 : passes > 0);
}

/** Milliseconds that the present ejection, or the last one, lasts. */
export function ejectionLasts({ ejections }: Health, { ejectionTime, ejectionTimeMax }: HealthRules): number {
  return Math.min(ejectionTime * ejections, ejectionTimeMax);
}

/** `now` in milliseconds since the epoch. */
export function next(health: Health, event: HealthEvent, rules: HealthRules, now: number): Health {
  switch (event.kind) {
    case "drain":
      return become(health, "drained", now);
    case "undrain":
      return health.state === "drained" ? { ...unknown, since: now } : health;
    case "errors":
      return health.state === "healthy" ? eject(health, rules, now) : health;
    case "over":
      return health.state === "ejected" ? become(health, "healthy", now) : health;
    default:
      if (health.state !== "drained") return afterCheck(health, event, rules, now);
      throw new ScaleError(
        "illegal_transition",
        `health: a drained target is not checked, and this one got ${event.kind}`,
      );
  }
}

function afterCheck(health: Health, result: CheckResult, rules: HealthRules, now: number): Health {
  switch (result.kind) {
    case "draining":
      return { ...become(health, "draining", now), passes: 0, fails: 0 };
    case "pass":
      return afterPass(health, result.begunAt, rules, now);
    case "fail":
      return afterFail(health, rules, now);
  }
}

function afterPass(health: Health, begunAt: number, rules: HealthRules, now: number): Health {
  if (health.state === "ejected" && begunAt <= health.since) return health;
  const needed = passesNeeded(health, rules);
  const passes = Math.min(health.passes + 1, needed);
  const isIn = health.state === "joining" || health.state === "healthy" || passes >= needed;
  return { ...become(health, isIn ? "healthy" : health.state, now), passes, fails: 0 };
}

/** In a row, for one that is out to come back. */
function passesNeeded({ state, ejections }: Health, { healthRise }: HealthRules): number {
  return state === "ejected" ? ejections : healthRise;
}

function afterFail(health: Health, { healthFall }: HealthRules, now: number): Health {
  const fails = Math.min(health.fails + 1, healthFall);
  const isOut = health.state === "draining" || health.state === "ejected" || fails >= healthFall;
  return { ...become(health, isOut ? "unhealthy" : health.state, now), passes: 0, fails };
}

function eject(health: Health, rules: HealthRules, now: number): Health {
  const isInARow = now < health.since + ejectionLasts(health, rules);
  return { ...become(health, "ejected", now), passes: 0, ejections: isInARow ? health.ejections + 1 : 1 };
}

function become(health: Health, state: HealthState, now: number): Health {
  if (state === health.state) return health;
  return { ...health, state, since: now, hasPassed: health.hasPassed || state === "healthy" };
}
