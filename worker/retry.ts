/**
 * What becomes of an attempt: a pure function from what happened to a verdict. Acting on it is consumer.ts.
 *
 * Only attempts that failed by themselves count. One that was handed back, or that nobody here could run, did not happen; one whose
 * worker died was counted by its delivery.
 */
import { fullJitter } from "../src/std/backoff.ts";
import type { Lease } from "../src/store/queue/queue.ts";

/** What happened. "stopped": the worker is going away and told the handler so. "discarded", "snoozed": the handler asked for it. */
export type Ending =
  | { readonly kind: "returned" }
  | { readonly kind: "failed"; readonly reason: string; readonly delayMs?: number }
  | { readonly kind: "discarded"; readonly reason: string }
  | { readonly kind: "snoozed"; readonly reason: string; readonly delayMs: number }
  | { readonly kind: "stopped" };

/** `asked`: the handler itself wanted it so, and nobody has to look. */
export type Verdict =
  | { readonly to: "completed" }
  | { readonly to: "available"; readonly attempts: number }
  | {
      readonly to: "retryable" | "scheduled";
      readonly attempts: number;
      readonly delayMs: number;
      readonly reason: string;
      readonly asked?: true;
    }
  | { readonly to: "discarded"; readonly attempts: number; readonly reason: string; readonly asked?: true };

export interface Policy {
  readonly attemptsMax: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

/** A newer worker that knows the job may be a deploy away. */
const postponeMs = 15_000;
/** How often a job may be handed to a worker that then dies, whatever its attempts: most of those had not even begun it. */
const deathsMax = 3;

/** The number of the attempt that a lease is for; the first is 1. */
export function attemptOf(lease: Lease): number {
  return lease.attempts + lease.deliveries;
}

/** After the attempt with this number. */
export function verdictOf(ending: Ending, attempt: number, policy: Policy, random?: () => number): Verdict {
  switch (ending.kind) {
    case "returned":
      return { to: "completed" };
    case "stopped":
      return released(attempt);
    case "failed": {
      const { reason } = ending;
      if (attempt >= policy.attemptsMax) return { to: "discarded", attempts: attempt, reason };
      const delayMs = ending.delayMs ?? fullJitter(attempt, policy.backoff.baseMs, policy.backoff.maxMs, random);
      return { to: "retryable", attempts: attempt, delayMs, reason };
    }
    case "discarded":
      return { to: "discarded", attempts: attempt, reason: ending.reason, asked: true };
    case "snoozed":
      return { to: "scheduled", attempts: attempt - 1, delayMs: ending.delayMs, reason: ending.reason, asked: true };
  }
}

/**
 * Before an attempt: why it must not even begin, or undefined. Of `deliveries` in a row all but this one ended with a worker that died
 * or hung; one of those may have been the job's doing, so it ends once its attempts are used up and it had three such chances.
 */
export function verdictBefore(attempt: number, deliveries: number, policy: Policy): Verdict | undefined {
  const deaths = deliveries - 1;
  if (attempt <= policy.attemptsMax || deaths < deathsMax) return undefined;
  return { to: "discarded", attempts: attempt - 1, reason: `its worker died or hung ${deaths} times in a row` };
}

/** For a job that is handed back: the attempt did not happen. */
export function released(attempt: number): Verdict {
  return { to: "available", attempts: attempt - 1 };
}

/** For a job this worker cannot run and a later version may: never a dead letter, and the attempt does not count. */
export function postponed(attempt: number, reason: string, random: () => number = Math.random): Verdict {
  return { to: "scheduled", attempts: attempt - 1, delayMs: Math.round(postponeMs * (0.5 + random())), reason };
}
