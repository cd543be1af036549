/**
 * How many jobs of a queue are in each state, kept by triggers beside every change of sqlite_statements.ts: counting rows would read all
 * of them, once a second and more often. Processes of an earlier version, which know nothing of it, keep it right too.
 */
import type { Database } from "bun:sqlite";

import type { QueueStats } from "./queue.ts";

/** Of scheduled ones, those that are parked are counted once more, by sqlite_gates.ts. A file that has jobs and no count yet is counted once. */
export const schema = `
CREATE TABLE IF NOT EXISTS queue_depth (queue TEXT NOT NULL, state TEXT NOT NULL, jobs INTEGER NOT NULL, PRIMARY KEY (queue, state)) WITHOUT ROWID;
INSERT INTO queue_depth (queue, state, jobs)
SELECT queue, state, count(*) FROM job WHERE NOT EXISTS (SELECT 1 FROM queue_depth) GROUP BY queue, state;
CREATE TRIGGER IF NOT EXISTS job_counted_in AFTER INSERT ON job BEGIN
  INSERT INTO queue_depth (queue, state, jobs) VALUES (NEW.queue, NEW.state, 1) ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER IF NOT EXISTS job_counted_out AFTER DELETE ON job BEGIN
  UPDATE queue_depth SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = OLD.state;
END;
CREATE TRIGGER IF NOT EXISTS job_counted_on AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
  UPDATE queue_depth SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = OLD.state;
  INSERT INTO queue_depth (queue, state, jobs) VALUES (NEW.queue, NEW.state, 1) ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + 1;
END;
`;

const byState = "SELECT state, jobs FROM queue_depth WHERE queue = ?1";
const alive =
  "SELECT coalesce(sum(jobs), 0) AS jobs FROM queue_depth WHERE queue = ?1 AND state NOT IN ('discarded', 'parked')";

/** `queue` with its namespace. */
export function depthOf(database: Database, queue: string): QueueStats & { readonly parked: number } {
  const rows = database.query<{ state: string; jobs: number }, [string]>(byState).all(queue);
  const of = (state: string) => rows.find((row) => row.state === state)?.jobs ?? 0;
  return {
    waiting: of("available"),
    parked: of("parked"),
    delayed: of("scheduled") + of("retryable") - of("parked"),
    running: of("running"),
    dead: of("discarded"),
  };
}

/** Jobs without an outcome. */
export function countAlive(database: Database, queue: string): number {
  return database.query<{ jobs: number }, [string]>(alive).get(queue)!.jobs;
}
