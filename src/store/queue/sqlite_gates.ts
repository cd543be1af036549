/**
 * Gates (gates.ts) on SQLite. Every function is a step of somebody's transaction; `queue` is the name with its namespace, `entry` a row's
 * id. A job that waits for a place is a scheduled row without a time: its `gate` says where, `passed` how many gates it has behind it.
 */
import type { Database } from "bun:sqlite";

import type { LaterColumn } from "../sqlite/database.ts";
import { decodeEnvelope } from "./envelope.ts";
import { type Gate, isRated } from "./gates.ts";

/** When a parked job is due, in milliseconds since the epoch: the last moment that there is. */
const never = 8_640_000_000_000_000;
/** Gates looked at, and jobs let through, in one step that mends. */
const mendMax = 100;
/** Places that time gives back, looked at in one step. */
const windowsMax = 1_000;

/** `gates`: how many the job has. */
export const columns: readonly LaterColumn[] = [
  { table: "job", name: "gates", definition: "INTEGER NOT NULL DEFAULT 0" },
  { table: "job", name: "passed", definition: "INTEGER NOT NULL DEFAULT 0" },
  { table: "job", name: "gate", definition: "TEXT" },
];

/** A place is a job's, or time's: then it is free after `until`. What a row holds goes with it, and how many are parked is counted. */
export const schema = `
CREATE TABLE IF NOT EXISTS job_place (queue TEXT NOT NULL, gate TEXT NOT NULL, entry INTEGER, until INTEGER);
CREATE INDEX IF NOT EXISTS job_place_gate ON job_place (queue, gate);
CREATE INDEX IF NOT EXISTS job_place_entry ON job_place (entry) WHERE entry IS NOT NULL;
CREATE INDEX IF NOT EXISTS job_place_until ON job_place (queue, until) WHERE until IS NOT NULL;
CREATE INDEX IF NOT EXISTS job_parked ON job (queue, gate, available_at, id) WHERE gate IS NOT NULL;
CREATE INDEX IF NOT EXISTS job_parked_since ON job (queue, available_at, id) WHERE gate IS NOT NULL;
CREATE TRIGGER IF NOT EXISTS job_left_places AFTER DELETE ON job WHEN OLD.gates > 0 BEGIN DELETE FROM job_place WHERE entry = OLD.id; END;
CREATE TRIGGER IF NOT EXISTS job_parked_in AFTER UPDATE OF gate ON job WHEN OLD.gate IS NULL AND NEW.gate IS NOT NULL BEGIN
  INSERT INTO queue_depth (queue, state, jobs) VALUES (NEW.queue, 'parked', 1) ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER IF NOT EXISTS job_parked_on AFTER UPDATE OF gate ON job WHEN OLD.gate IS NOT NULL AND NEW.gate IS NULL BEGIN
  UPDATE queue_depth SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = 'parked';
END;
CREATE TRIGGER IF NOT EXISTS job_parked_out AFTER DELETE ON job WHEN OLD.gate IS NOT NULL BEGIN
  UPDATE queue_depth SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = 'parked';
END;
`;

const taken = "SELECT count(*) AS places FROM (SELECT 1 FROM job_place WHERE queue = ?1 AND gate = ?2 LIMIT ?3)";
const takePlace = "INSERT INTO job_place (queue, gate, entry) VALUES (?1, ?2, ?3)";
const firstAt = `
SELECT id, envelope, passed FROM job WHERE queue = ?1 AND gate = ?2 ORDER BY available_at, id LIMIT 1`;
const park = `UPDATE job SET state = 'scheduled', at = ${never}, available_at = ?2, gate = ?3, passed = ?4 WHERE id = ?1`;
const makeAvailable =
  "UPDATE job SET state = 'available', at = ?2, available_at = ?2, gate = NULL, passed = ?3 WHERE id = ?1";
const heldByJob = "SELECT gate FROM job_place WHERE entry = ?1";
const givePlace = "DELETE FROM job_place WHERE entry = ?1 AND gate = ?2";
const keepPassed = "UPDATE job SET passed = ?2, gate = NULL WHERE id = ?1";
const toTime = "UPDATE job_place SET entry = NULL, until = ?3 WHERE entry = ?1 AND gate = ?2";
const takeByTime = "INSERT INTO job_place (queue, gate, until) VALUES (?1, ?2, ?3)";
const giveByTime = `
DELETE FROM job_place WHERE rowid IN (SELECT rowid FROM job_place WHERE queue = ?1 AND until <= ?2 ORDER BY until LIMIT ${windowsMax})
RETURNING gate`;
const dueRows = `
SELECT id, envelope, passed, at FROM job
WHERE queue = ?1 AND state IN ('scheduled', 'retryable') AND at <= ?2 AND gates > 0 ORDER BY at, id LIMIT ?3`;
const nextFree = `
SELECT min(until) AS at FROM job_place WHERE queue = ?1 AND EXISTS (SELECT 1 FROM job WHERE queue = ?1 AND gate IS NOT NULL)`;
const leftBehind = `
SELECT id FROM job WHERE queue = ?1 AND state = 'discarded' AND id IN (SELECT entry FROM job_place WHERE queue = ?1) LIMIT ${mendMax}`;
const gatesWaitedFor = `
SELECT DISTINCT gate FROM job WHERE queue = ?1 AND gate > ?2 ORDER BY gate LIMIT ${mendMax}`;

export interface Row {
  readonly id: number;
  readonly envelope: string;
  readonly passed: number;
}

/** The row of a job, by its id. */
export const row = "SELECT id, envelope, passed FROM job WHERE id = ?1";

/** Lets a job through the gates it has not passed, or parks it at the first without room: behind those that could have run before `since`. */
export function pass(database: Database, queue: string, row: Row, since = Date.now()): void {
  const { gates } = decodeEnvelope(row.envelope);
  if (isRated(gates)) freeByTime(database, queue);
  let { passed } = row;
  for (const gate of gates.slice(passed)) {
    if (isFull(database, queue, gate) || first(database, queue, gate.name) !== null) {
      database.query(park).run(row.id, since, gate.name, passed);
      return;
    }
    database.query(takePlace).run(queue, gate.name, row.id);
    passed++;
  }
  database.query(makeAvailable).run(row.id, Date.now(), passed);
}

/** Lets those in for whom there is room now. */
export function admit(database: Database, queue: string, names: readonly string[]): void {
  for (const name of names) {
    for (let row = first(database, queue, name); row !== null; row = first(database, queue, name)) {
      const gate = decodeEnvelope(row.envelope).gates[row.passed];
      if (gate !== undefined && isFull(database, queue, gate)) break;
      database.query(takePlace).run(queue, name, row.id);
      // It waits no more here, or it would stand in its own way.
      database.query(keepPassed).run(row.id, row.passed + 1);
      pass(database, queue, { ...row, passed: row.passed + 1 });
    }
  }
}

/** Gates at which it holds a place; what time gives back is not among them. */
export function heldBy(database: Database, entry: number | string): readonly string[] {
  return database
    .query<{ gate: string }, [number | string]>(heldByJob)
    .all(entry)
    .map(({ gate }) => gate);
}

/** Gives back the places of a job that is still there: all, or with `keep` those that are not kept. */
export function leave(
  database: Database,
  queue: string,
  entry: number | string,
  gates: readonly Gate[],
  keep: boolean,
): void {
  const held = heldBy(database, entry);
  const kept = keep ? gates.filter((gate) => gate.keep && held.includes(gate.name)).map(({ name }) => name) : [];
  const left = held.filter((name) => !kept.includes(name));
  for (const name of left) database.query(givePlace).run(entry, name);
  database.query(keepPassed).run(entry, kept.length);
  admit(database, queue, left);
}

/** Its attempt begins, and counts for as long as its gates say. One that began before counts again. */
export function noteBegin(database: Database, queue: string, entry: string, gates: readonly Gate[]): void {
  for (const { name, per } of gates) {
    if (per === undefined) continue;
    const until = Date.now() + per;
    if (database.query(toTime).run(entry, name, until).changes === 0)
      database.query(takeByTime).run(queue, name, until);
  }
}

/** What time gives back, and jobs with gates that are due. */
export function promote(database: Database, queue: string, max: number): void {
  freeByTime(database, queue);
  const due = database
    .query<Row & { readonly at: number }, [string, number, number]>(dueRows)
    .all(queue, Date.now(), max);
  for (const row of due) pass(database, queue, row, row.at);
}

function freeByTime(database: Database, queue: string): void {
  const free = database.query<{ gate: string }, [string, number]>(giveByTime).all(queue, Date.now());
  admit(database, queue, [...new Set(free.map(({ gate }) => gate))]);
}

/** It has an outcome of an attempt, whose begin may not have been recorded: then it counts from now. */
export function noteEnd(database: Database, entry: string, gates: readonly Gate[]): void {
  for (const { name, per } of gates) if (per !== undefined) database.query(toTime).run(entry, name, Date.now() + per);
}

/** When the next place is free that somebody waits for, in milliseconds since the epoch. */
export function nextFreeAt(database: Database, queue: string): number | undefined {
  return database.query<{ at: number | null }, [string]>(nextFree).get(queue)?.at ?? undefined;
}

/**
 * Gives back what a version of scale without gates left behind, and what time has; lets in whom nobody did. Returns the gate after which to go on.
 */
export function mend(database: Database, queue: string, after: string): string {
  for (const { id } of database.query<{ id: number }, [string]>(leftBehind).all(queue)) {
    for (const name of heldBy(database, id)) database.query(givePlace).run(id, name);
  }
  freeByTime(database, queue);
  const waitedFor = database.query<{ gate: string }, [string, string]>(gatesWaitedFor).all(queue, after);
  const names = waitedFor.map(({ gate }) => gate);
  admit(database, queue, names);
  return names.length < mendMax ? "" : names.at(-1)!;
}

function isFull(database: Database, queue: string, { name, max }: Gate): boolean {
  return database.query<{ places: number }, [string, string, number]>(taken).get(queue, name, max)!.places >= max;
}

function first(database: Database, queue: string, name: string): Row | null {
  return database.query<Row, [string, string]>(firstAt).get(queue, name);
}
