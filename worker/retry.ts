/**
 * What becomes of an attempt: a pure function from what happened to a verdict. Acting on it is consumer.ts.
 *
 * Only attempts that failed by themselves count. One that was handed back, or that nobody here could run, did not happen; one whose
 * worker died was counted by its delivery.
 */
import { fullJitter } from "../src/std/backoff.ts";

/** What happened. "stopped": the worker is going away and told the handler so. */
export type Ending =
  { readonly kind: "returned" } | { readonly kind: "failed"; readonly reason: string } | { readonly kind: "stopped" };

export type Verdict =
  | { readonly to: "completed" }
  | { readonly to: "available"; readonly attempts: number }
  | {
      readonly to: "retryable" | "scheduled";
      readonly attempts: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly to: "discarded"; readonly attempts: number; readonly reason: string };

export interface Policy {
  readonly attemptsMax: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

/** A newer worker that knows the job may be a deploy away. */
const postponeMs = 15_000;

/** After the attempt with this number (the first is 1). */
export function verdictOf(ending: Ending, attempt: number, policy: Policy, random?: () => number): Verdict {
  switch (ending.kind) {
    case "returned":
      return { to: "completed" };
    case "stopped":
      return { to: "available", attempts: attempt - 1 };
    case "failed": {
      const { reason } = ending;
      if (attempt >= policy.attemptsMax) return { to: "discarded", attempts: attempt, reason };
      const delayMs = fullJitter(attempt, policy.backoff.baseMs, policy.backoff.maxMs, random);
      return { to: "retryable", attempts: attempt, delayMs, reason };
    }
  }
}

/** Before an attempt: why it must not even begin, or undefined. A job that used up its attempts killed the worker in the last one. */
export function verdictBefore(attempt: number, policy: Policy): Verdict | undefined {
  if (attempt <= policy.attemptsMax) return undefined;
  const reason = `its worker died or hung in the last of ${policy.attemptsMax} attempts`;
  return { to: "discarded", attempts: attempt - 1, reason };
}

/** For a job this worker cannot run and a later version may: never a dead letter, and the attempt does not count. */
export function postponed(attempt: number, reason: string, random: () => number = Math.random): Verdict {
  return { to: "scheduled", attempts: attempt - 1, delayMs: Math.round(postponeMs * (0.5 + random())), reason };
}
