/**
 * Every transition of states.ts on SQLite, one statement each. Who runs them is sqlite.ts and sqlite_consumer.ts; ?1 is always the
 * queue or the row, `at` always the present in milliseconds since the epoch.
 *
 * A row is a job without an outcome, or a dead letter; what completed or was cancelled is in sqlite_kept.ts. `at` means, by state: when it is due
 * (scheduled, retryable), since when it waits (available), when its lease was renewed (running), when it died (discarded).
 */

import type { LaterColumn } from "../sqlite/database.ts";

export const schema = `
CREATE TABLE IF NOT EXISTS job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('scheduled', 'available', 'running', 'retryable', 'discarded')),
  at INTEGER NOT NULL,
  available_at INTEGER NOT NULL,
  owner TEXT,
  deliveries INTEGER NOT NULL DEFAULT 0,
  unique_key TEXT,
  envelope TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS job_queue_state_at ON job (queue, state, at, id);
-- Ids go on from the clock in microseconds, as a Redis stream's do: a file that was thrown away and made anew repeats none.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'job', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'job');
CREATE UNIQUE INDEX IF NOT EXISTS job_unique_key ON job (queue, unique_key) WHERE unique_key IS NOT NULL;
`;

/**
 * `mark`: how often a running job began and had no ending, as lease.ts writes it. `stored`: how often it was put back since its first
 * time; deliveries begin anew then, and without it the token of a lease of before would be a valid one again.
 */
export const columns: readonly LaterColumn[] = [
  { table: "job", name: "mark", definition: "TEXT NOT NULL DEFAULT ''" },
  { table: "job", name: "stored", definition: "INTEGER NOT NULL DEFAULT 0" },
  { table: "job", name: "priority", definition: "TEXT NOT NULL DEFAULT 'normal'" },
];
/** What stands on later columns. */
export const laterSchema = `
CREATE INDEX IF NOT EXISTS job_available ON job (queue, priority, at, id) WHERE state = 'available';
`;

/** → available | scheduled. */
export const enqueue = `
INSERT INTO job (queue, state, at, available_at, unique_key, envelope, priority, gates)
VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7) RETURNING id`;
export const findUnique = "SELECT id, envelope FROM job WHERE queue = ?1 AND unique_key = ?2";

export const anyAvailable = "SELECT 1 FROM job WHERE queue = ?1 AND state = 'available' AND priority = ?2 LIMIT 1";

/** available → running, of one priority. */
export const take = `
UPDATE job SET state = 'running', owner = ?2, deliveries = deliveries + 1, at = ?3
WHERE id IN (SELECT id FROM job WHERE queue = ?1 AND state = 'available' AND priority = ?5 ORDER BY at, id LIMIT ?4)
RETURNING id, stored, deliveries, mark, available_at, envelope`;

/** scheduled | retryable → available; those with gates are sqlite_gates.ts's. */
export const promote = `
UPDATE job SET state = 'available', at = ?2, available_at = ?2
WHERE id IN (
  SELECT id FROM job WHERE queue = ?1 AND state IN ('scheduled', 'retryable') AND at <= ?2 AND gates = 0 ORDER BY at, id LIMIT ?3
)`;
export const nextDue = `
SELECT min(at) AS at FROM job WHERE queue = ?1 AND state IN ('scheduled', 'retryable') AND at < 8640000000000000`;

/** What a lease must still be: the attempt's token. */
const fence = "WHERE id = ?1 AND state = 'running' AND owner = ?2 AND deliveries = ?3 AND stored = ?4";

/** running, begun. Whoever takes the job over finds the mark. */
export const begin = `UPDATE job SET mark = ?5 ${fence}`;

/** Its mark, where it is ours. */
export const ours = `SELECT mark FROM job ${fence}`;

/** running → completed | cancelled. */
export const complete = `DELETE FROM job ${fence}`;

/** running → retryable (retry) | scheduled (postpone) | available (release). */
export const putBack = `
UPDATE job SET state = ?5, at = ?6, available_at = ?6, owner = NULL, deliveries = 0, stored = stored + 1, mark = '', envelope = ?7 ${fence}`;

/** running → available, of what was not begun. */
export const handBack = `
UPDATE job SET state = 'available', at = ?5, available_at = ?5, owner = NULL, deliveries = 0, stored = stored + 1 ${fence}`;

/** running → discarded. Its unique key is free again. */
export const discard = `
UPDATE job SET state = 'discarded', at = ?5, owner = NULL, mark = '', unique_key = NULL, envelope = ?6 ${fence}`;
/** The oldest dead letters make room. */
export const trimDeadLetters = `
DELETE FROM job WHERE id IN (
  SELECT id FROM job WHERE queue = ?1 AND state = 'discarded' ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?2
)`;

/** running → running, in the same hands. */
export const renew = `UPDATE job SET at = ?5 ${fence}`;

/** running → running, in other hands: counting a delivery voids the former holder's token. */
export const reclaim = `
UPDATE job SET owner = ?2, deliveries = deliveries + 1, at = ?3
WHERE id IN (SELECT id FROM job WHERE queue = ?1 AND state = 'running' AND at <= ?4 ORDER BY at, id LIMIT ?5)
RETURNING id, stored, deliveries, mark, available_at, envelope`;

export const held = `
SELECT id, stored, deliveries, mark, available_at, envelope FROM job
WHERE queue = ?1 AND state = 'running' AND owner = ?2 ORDER BY id LIMIT ?3`;

/** discarded | scheduled | retryable → available, by an operator. */
export const retry = `
UPDATE job SET state = 'available', at = ?2, available_at = ?2, unique_key = ?3, envelope = ?4, deliveries = 0, stored = stored + 1, mark = '', owner = NULL
WHERE id = ?1 AND state IN ('discarded', 'scheduled', 'retryable')`;

export const oldestWaiting = "SELECT min(at) AS at FROM job WHERE queue = ?1 AND state = 'available'";
/** What is not normal: that is the rest, and mostly all of it. */
export const countUnusual = `
SELECT priority, count(*) AS jobs FROM job
WHERE queue = ?1 AND state = 'available' AND priority IN ('high', 'low') GROUP BY priority`;
export const deadLetters = `
SELECT id, at, envelope FROM job WHERE queue = ?1 AND state = 'discarded' ORDER BY at DESC, id DESC LIMIT ?2`;
