/**
 * What happens once over the whole fleet, on SQLite: jobs enqueued under an id that was chosen before, the ticks of schedules, and who
 * leads. The transitions of a job in the queue are sqlite_statements.ts.
 */
import type { Database } from "bun:sqlite";

import { knownJobsMax, throttlesMax } from "./limits.ts";
import type { NewJob, OnceJob, Ticks } from "./queue.ts";

/** known_job is cut to the newest ids of all queues together. */
export const schema = `
CREATE TABLE IF NOT EXISTS known_job (number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS known_job_id ON known_job (queue, id);
CREATE TABLE IF NOT EXISTS tick (queue TEXT NOT NULL, schedule TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (queue, schedule));
CREATE TABLE IF NOT EXISTS throttle (queue TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (queue, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS throttle_until ON throttle (queue, until);
CREATE TABLE IF NOT EXISTS leader (namespace TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL);
`;

const remember = "INSERT INTO known_job (queue, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const forgetOldest = "DELETE FROM known_job WHERE number <= (SELECT max(number) FROM known_job) - ?1";
const moveTick = `
INSERT INTO tick (queue, schedule, at) VALUES (?1, ?2, ?3)
ON CONFLICT (queue, schedule) DO UPDATE SET at = excluded.at WHERE at < excluded.at`;
const beginTick = "INSERT INTO tick (queue, schedule, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const lastTick = "SELECT at FROM tick WHERE queue = ?1 AND schedule = ?2";
const takeLead = `
INSERT INTO leader (namespace, owner, until) VALUES (?1, ?2, ?4 + ?3)
ON CONFLICT (namespace) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE owner = excluded.owner OR until <= ?4`;
const giveLead = "DELETE FROM leader WHERE namespace = ?1 AND owner = ?2";

const throttler = "SELECT id FROM throttle WHERE queue = ?1 AND key = ?2 AND until > ?3";
const noteThrottle = `
INSERT INTO throttle (queue, key, id, until) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, until = excluded.until`;
const forgetThrottles = `
DELETE FROM throttle WHERE queue = ?1 AND (until <= ?2 OR until < (SELECT until FROM throttle WHERE queue = ?1 ORDER BY until DESC LIMIT 1 OFFSET ?3))`;

/** The id of the job whose unique key still holds, though it may have ended. */
export function throttledBy(database: Database, queue: string, unique: string): string | undefined {
  return database.query<{ id: string }, [string, string, number]>(throttler).get(queue, unique, Date.now())?.id;
}

export function throttle(database: Database, queue: string, { unique, throttleMs = 0 }: NewJob, id: string): void {
  if (unique === undefined || throttleMs === 0) return;
  database.query(noteThrottle).run(queue, unique, id, Date.now() + Math.ceil(throttleMs));
}

/** Those that hold no more; where there are too many, also those that end first. */
export function pruneThrottles(database: Database, queue: string): void {
  database.query(forgetThrottles).run(queue, Date.now(), throttlesMax - 1);
}

/** Within a transaction that also enqueues what is new. `queue` with its namespace. */
export function isNew(database: Database, queue: string, { id, tick }: OnceJob): boolean {
  if (tick !== undefined) return database.query(moveTick).run(queue, tick.schedule, tick.atMs).changes > 0;
  return database.query(remember).run(queue, id).changes > 0;
}

export function trimKnown(database: Database): void {
  database.query(forgetOldest).run(knownJobsMax);
}

export function ticksOf(database: Database, queue: string, schedules: readonly string[]): Ticks {
  const nowMs = Date.now();
  const lastMs = schedules.map((schedule) => {
    database.query(beginTick).run(queue, schedule, nowMs);
    return database.query<{ at: number }, [string, string]>(lastTick).get(queue, schedule)!.at;
  });
  return { nowMs, lastMs };
}

export function lead(database: Database, namespace: string, owner: string, leaseMs: number): boolean {
  return database.query(takeLead).run(namespace, owner, leaseMs, Date.now()).changes > 0;
}

export function resign(database: Database, namespace: string, owner: string): void {
  database.query(giveLead).run(namespace, owner);
}
