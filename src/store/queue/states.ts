/**
 * The life of a job. Each arrow is one Lua script (redis_scripts.ts) and one SQL statement (sqlite_statements.ts) of that name.
 *
 *      enqueue ───────────▶ available ◀──promote── scheduled ◀── enqueue with a delay
 *                            │     ▲ ▲
 *                          take    │ └──promote── retryable ◀─┐
 *                            ▼     │ release                  │ retry
 *      reclaim ┌────────▶ running ─┴──────────────────────────┤
 *      (lease  └───────────┘ │ │                              │
 *       ran out)             │ └──postpone──▶ scheduled       │
 *                            ├──complete──▶ completed         │
 *                            ├──cancel────▶ cancelled         │
 *                            └──discard───▶ discarded (dead letters)
 *
 * Between enqueue, promote, an operator's retry and `available` stand a job's gates (gates.ts), where it may have to wait: parked. It is
 * available as far as itself is concerned, and nobody can take it yet.
 *
 * An operator moves what nobody runs (inspect.ts): cancel takes an available, scheduled or retryable job to cancelled; retry takes a
 * retryable, cancelled or discarded one to available. Completed and cancelled jobs are kept for a while, then forgotten.
 *
 * A job leaves `running` only through the holder of its lease: owner and number of deliveries must still be the ones it was taken
 * with. That pair is the attempt's token; whoever lost it is told so, and nothing happens.
 */

export const jobStates = [
  "available",
  "scheduled",
  "retryable",
  "running",
  "completed",
  "cancelled",
  "discarded",
] as const;
export type JobState = (typeof jobStates)[number];

/** Where a job may go from `running`. */
export type Outcome = Exclude<JobState, "running">;
