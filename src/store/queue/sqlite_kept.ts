/**
 * What is kept beside the jobs of sqlite_statements.ts: those that have ended, how far running ones are, orders of operators, counts.
 * Every function is a step of somebody's transaction; `queue` is the name with its namespace.
 */
import type { Database } from "bun:sqlite";

import type { Count } from "./inspect.ts";

/** job_entry finds the row of a job whose id was chosen, and goes with it; every other job's id is its row's. */
export const schema = `
CREATE TABLE IF NOT EXISTS job_entry (queue TEXT NOT NULL, id TEXT NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (queue, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS job_entry_row ON job_entry (entry);
CREATE TRIGGER IF NOT EXISTS job_gone AFTER DELETE ON job BEGIN DELETE FROM job_entry WHERE entry = OLD.id; END;
CREATE TABLE IF NOT EXISTS job_done (
  queue TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL, envelope TEXT NOT NULL, PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_done_until ON job_done (queue, until, id);
CREATE TABLE IF NOT EXISTS job_progress (queue TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (queue, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job_cancel (queue TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (queue, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue_pause (queue TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue_count (queue TEXT NOT NULL, count TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (queue, count)) WITHOUT ROWID;
`;

const keepOne = `
INSERT INTO job_done (queue, id, until, envelope) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (queue, id) DO UPDATE SET until = excluded.until, envelope = excluded.envelope`;
const doneCount = "SELECT count(*) AS jobs FROM job_done WHERE queue = ?1";
const trimOldest = `
DELETE FROM job_done WHERE queue = ?1 AND id IN (SELECT id FROM job_done WHERE queue = ?1 ORDER BY until, id LIMIT ?2)`;
const addCount = `
INSERT INTO queue_count (queue, count, value) VALUES (?1, ?2, ?3)
ON CONFLICT (queue, count) DO UPDATE SET value = value + excluded.value`;
const pruneDone = `
DELETE FROM job_done WHERE queue = ?1 AND id IN (SELECT id FROM job_done WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ?3)`;
const pruneDead = `
DELETE FROM job WHERE id IN (
  SELECT id FROM job WHERE queue = ?1 AND state = 'discarded' AND at <= ?2 ORDER BY at, id LIMIT ?3
)`;
const noteProgress = `
INSERT INTO job_progress (queue, id, value) VALUES (?1, ?2, ?3) ON CONFLICT (queue, id) DO UPDATE SET value = excluded.value`;

/** Keeps an ended job until `until`, in milliseconds since the epoch. */
export function keepDone(database: Database, queue: string, id: string, until: number, envelope: string): void {
  database.query(keepOne).run(queue, id, until, envelope);
}

/** Those that would be forgotten first make room. */
export function trimDone(database: Database, queue: string, most: number): void {
  const excess = countDone(database, queue) - most;
  if (excess > 0) database.query(trimOldest).run(queue, excess);
}

export function countDone(database: Database, queue: string): number {
  return database.query<{ jobs: number }, [string]>(doneCount).get(queue)!.jobs;
}

/** Nobody is interested any more in how far it is, or has to stop it. */
export function forgetOrders(database: Database, queue: string, id: string): void {
  database.query("DELETE FROM job_progress WHERE queue = ?1 AND id = ?2").run(queue, id);
  database.query("DELETE FROM job_cancel WHERE queue = ?1 AND id = ?2").run(queue, id);
}

export function add(database: Database, queue: string, count: Count, jobs: number): void {
  if (jobs > 0) database.query(addCount).run(queue, count, jobs);
}

/** Operators find a queue by its counts. */
export function makeKnown(database: Database, queue: string): void {
  database.query(addCount).run(queue, "arrived", 0);
}

export function noteEntry(database: Database, queue: string, id: string, entry: number): void {
  database.query("INSERT OR REPLACE INTO job_entry (queue, id, entry) VALUES (?1, ?2, ?3)").run(queue, id, entry);
}

export function report(database: Database, queue: string, id: string, value: string): void {
  database.query(noteProgress).run(queue, id, value);
}

export function prune(database: Database, queue: string, deadLettersAge: number, most: number): void {
  const now = Date.now();
  database.query(pruneDone).run(queue, now, most);
  database.query(pruneDead).run(queue, now - deadLettersAge, most);
}

export function pausedSince(database: Database, queue: string): number | undefined {
  return database.query<{ since: number }, [string]>("SELECT since FROM queue_pause WHERE queue = ?1").get(queue)
    ?.since;
}

/** Ids of running jobs that are to stop. */
export function cancelledIds(database: Database, queue: string): readonly string[] {
  const rows = database.query<{ id: string }, [string]>("SELECT id FROM job_cancel WHERE queue = ?1").all(queue);
  return rows.map(({ id }) => id);
}
