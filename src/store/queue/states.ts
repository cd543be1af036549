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
 *                            ├──complete──▶ completed (gone)  │
 *                            └──discard───▶ discarded (dead letters)
 *
 * A job leaves `running` only through the holder of its lease: owner and number of deliveries must still be the ones it was taken
 * with. That pair is the attempt's token; whoever lost it is told so, and nothing happens. `cancelled` will be a fourth way out.
 */

export type JobState = "scheduled" | "available" | "running" | "retryable" | "completed" | "discarded";

/** Where a job may go from `running`. */
export type Outcome = Exclude<JobState, "running">;
