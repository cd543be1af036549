/**
 * Errors that are verbs: what a job's handler throws to say what becomes of the job. Anything else it throws is a failed attempt,
 * tried again by the job's policy. Acting on them is worker/retry.ts.
 */
import { durationOf } from "../std/units.ts";

const delayMsMax = 365 * 86_400_000;

/** Never again: the job goes to the dead letters with this reason, whatever attempts are left. */
export class Discard extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "Discard";
  }
}

/** A failed attempt whose next one begins after `delay` instead of the policy's pause. */
export class RetryAfter extends Error {
  readonly delayMs: number;

  constructor(delay: string | number, reason = "its handler asked to be run again") {
    super(reason);
    this.name = "RetryAfter";
    this.delayMs = durationOf("the delay of RetryAfter", delay, 0, delayMsMax);
  }
}

/** Not now: the job is put back for `delay`, and the attempt does not count. */
export class Snooze extends Error {
  readonly delayMs: number;

  constructor(delay: string | number, reason = "its handler snoozed it") {
    super(reason);
    this.name = "Snooze";
    this.delayMs = durationOf("the delay of Snooze", delay, 0, delayMsMax);
  }
}
