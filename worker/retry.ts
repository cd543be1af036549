/**
 * What becomes of an attempt: a pure function from what happened to a verdict. Acting on it is consumer.ts.
 *
 * Only attempts that began count. One that was handed back, or that nobody here could run, did not happen; one that began and whose
 * worker died was counted when it began.
 */
import { fullJitter } from "../src/std/backoff.ts";
import type { Lease } from "../src/store/queue/queue.ts";

/** What happened. "stopped": the worker is going away and told the handler so. "discarded", "snoozed": the handler asked for it. */
export type Ending =
  | { readonly kind: "returned"; readonly result?: string | undefined }
  /** `error`: what the handler threw without a verb, for whoever has to find out why. */
  | { readonly kind: "failed"; readonly reason: string; readonly delayMs?: number; readonly error?: unknown }
  | { readonly kind: "discarded"; readonly reason: string }
  | { readonly kind: "snoozed"; readonly reason: string; readonly delayMs: number }
  | { readonly kind: "cancelled" }
  | { readonly kind: "stopped" };

/** `asked`: the handler itself wanted it so, and nobody has to look. */
export type Verdict =
  | { readonly to: "completed"; readonly result?: string | undefined; readonly keepMs?: number | undefined }
  | { readonly to: "cancelled"; readonly attempts: number; readonly reason: string }
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
  /** How long a completed job is kept; undefined: as long as the queue keeps them. */
  readonly keepMs?: number | undefined;
}

/** A newer worker that knows the job may be a deploy away. */
const postponeMs = 15_000;
/** Workers a job may take with it, whatever its attempts. */
const deathsMax = 3;
/** The number of the attempt that a lease is for; the first is 1. */
export function attemptOf(lease: Pick<Lease, "attempts" | "starts">): number {
  return lease.attempts + lease.starts + 1;
}

/** After the attempt with this number. */
export function verdictOf(ending: Ending, attempt: number, policy: Policy, random?: () => number): Verdict {
  switch (ending.kind) {
    case "returned":
      return { to: "completed", result: ending.result, keepMs: policy.keepMs };
    case "cancelled":
      return cancelled(attempt);
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
 * Before an attempt: why it must not even begin, or undefined. Its last `starts` attempts ended with a worker that died or hung. Others
 * may have been running beside it: so it ends once it did that three times and the last time was alone, or has no attempts left.
 */
export function verdictBefore(
  lease: Pick<Lease, "attempts" | "starts" | "alone">,
  policy: Policy,
): Verdict | undefined {
  const { starts, alone } = lease;
  const attempts = attemptOf(lease) - 1;
  if (starts < deathsMax || (!alone && attempts < policy.attemptsMax)) return undefined;
  const reason = `its worker died or hung ${starts} times in a row${alone ? ", the last time with nothing else running" : ""}`;
  return { to: "discarded", attempts, reason };
}

/** Why a job is not even begun, or undefined. `policy`: that of its definition here, where there is one. */
export function refused(lease: Lease, policy: Policy | undefined): Verdict | undefined {
  const attempt = attemptOf(lease);
  if (lease.fault === "garbled") return { to: "discarded", attempts: attempt, reason: "it cannot be read" };
  if (lease.fault === "newer") return postponed(attempt, "a later version of scale wrote it");
  if (policy === undefined) return postponed(attempt, `no job here is named ${lease.name}`);
  return verdictBefore(lease, policy);
}

/** For a job that was told to stop, before or while it ran. */
export function cancelled(attempts: number): Verdict {
  return { to: "cancelled", attempts, reason: "cancelled" };
}

/** For a job that is handed back: the attempt did not happen. */
export function released(attempt: number): Verdict {
  return { to: "available", attempts: attempt - 1 };
}

/** For a job this worker cannot run and a later version may: never a dead letter, and the attempt does not count. */
export function postponed(attempt: number, reason: string, random: () => number = Math.random): Verdict {
  return { to: "scheduled", attempts: attempt - 1, delayMs: Math.round(postponeMs * (0.5 + random())), reason };
}
