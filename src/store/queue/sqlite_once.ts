/**
 * What happens once over the whole fleet, on SQLite: jobs enqueued under an id that was chosen before, the ticks of schedules, and who
 * leads. The transitions of a job in the queue are sqlite_statements.ts.
 */
import type { Database } from "bun:sqlite";

import { knownJobsMax } from "./limits.ts";
import type { OnceJob, Ticks } from "./queue.ts";

/** known_job is cut to the newest ids of all queues together. */
export const schema = `
CREATE TABLE IF NOT EXISTS known_job (number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS known_job_id ON known_job (queue, id);
CREATE TABLE IF NOT EXISTS tick (queue TEXT NOT NULL, schedule TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (queue, schedule));
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
