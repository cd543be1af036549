/**
 * Limits over the whole fleet, as a job carries them: gates it passes one after the other before it is available. The scripts and
 * statements that let jobs through are redis_gate_scripts.ts and sqlite_gates.ts; which gates a job has, runtime/job_limits.ts.
 *
 *      enqueue, promote ──▶ [gate: a place free, and nobody waits for it?] ──yes──▶ next gate … ──▶ available
 *                                  └──no──▶ parked, in the order of arrival ──a place comes free──▲
 *
 * Invariants: what is available may run, so that no worker ever holds a job that must wait; a place is held under the job's id and
 * given back once, in the step that records why: the outcome, a cancel, the wait for a retry. So a worker that dies leaks none: its job
 * still holds its place, and goes to another. A job goes by the limits it was enqueued with.
 */

export interface Gate {
  /** One per limit and, where it is one of a key, per key. Without control characters. */
  readonly name: string;
  /** Places. */
  readonly max: number;
  /** The place is kept while the job waits for its next attempt: what comes behind it must not overtake it. Such gates are the first. */
  readonly keep?: true;
  /** A place is taken until so many milliseconds after the attempt began, whatever becomes of it: so many begin in any such time. */
  readonly per?: number;
}

export const noGates: readonly Gate[] = [];

/** Of a stored job. What is none of ours limits nothing: a job must rather run than wait for ever. */
export function gatesIn(value: unknown): readonly Gate[] {
  return Array.isArray(value) && value.length > 0 && value.every(isGate) ? value : noGates;
}

function isGate(value: unknown): value is Gate {
  if (typeof value !== "object" || value === null) return false;
  const { name, max, per } = value as { readonly [field: string]: unknown };
  return typeof name === "string" && typeof max === "number" && (per === undefined || typeof per === "number");
}

/** Whether the begin of an attempt counts at one of them. */
export function isRated(gates: readonly Gate[]): boolean {
  return gates.some(({ per }) => per !== undefined);
}
