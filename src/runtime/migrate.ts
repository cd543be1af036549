/**
 * Migrations: ordered SQL files, each applied once, by one process at a time, and never edited afterwards.
 *
 *     pending ── run ──▶ applied                    each file in a transaction of its own, with its record
 *             └ failed ▶ pending                    nothing of it happened
 *     "-- no transaction" on the first line:        its statements one by one; after a failure it runs again from its first
 *                                                   statement, which must therefore be written so (create index … if not exists)
 *
 * A fleet may start at once: the first to take the lock migrates, the others wait and find nothing to do. An older version of the
 * application may run beside a newer database: files it does not know are not its concern. Reading files is entry.ts; what a person
 * sees is cli/migrate.ts; what the database knows is store/sql/migration_log.ts.
 */
import { log } from "../ops/log.ts";
import { fullJitter } from "../std/backoff.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { formatDuration } from "../std/units.ts";
import { SqlError } from "../store/sql/errors.ts";
import {
  type AppliedMigration,
  appliedMigrations,
  createLog,
  invalidIndexes,
  recordMigration,
  tryMigrationLock,
} from "../store/sql/migration_log.ts";
import { lineAt, splitScript } from "../store/sql/script.ts";
import type { Sql, SqlSession } from "../store/sql/sql.ts";

export interface MigrationFile {
  /** NNN_what_it_does.sql */
  readonly name: string;
  readonly text: string;
}

export interface MigrationState {
  readonly name: string;
  /** unknown: applied by another version of the application. */
  readonly state: "applied" | "pending" | "changed" | "unknown";
  readonly appliedAt?: Date | undefined;
}

const lockTimeoutMilliseconds = 5_000;
const lockAttempts = 5;
const pollMilliseconds = 100;
const waitMillisecondsMax = 600_000;

/** Applies what is pending, in order, and returns it. `table` is the log, if not the application's. Throws migration_failed or migration_changed; what was applied stays. */
export async function migrate(
  sql: Sql,
  files: readonly MigrationFile[],
  table?: string,
): Promise<readonly MigrationFile[]> {
  if ((await pendingMigrations(sql, files, table)).length === 0) return [];
  return sql.session(async (session) => {
    await session.script("set statement_timeout = 0");
    await setLockTimeout(session, lockTimeoutMilliseconds);
    await takeLock(session);
    await createLog(session, table);
    const pending = pendingOf(files, await appliedMigrations(session, table));
    for (const file of pending) {
      const started = performance.now();
      await apply(session, file, table);
      log.info({ migration: file.name }, `applied ${file.name} in ${formatDuration(performance.now() - started)}`);
    }
    return pending;
  });
}

/** What `migrate` would apply. Changes nothing. Throws migration_changed where a file is not what was applied under its name. */
export async function pendingMigrations(
  sql: Sql,
  files: readonly MigrationFile[],
  table?: string,
): Promise<readonly MigrationFile[]> {
  return pendingOf(files, await appliedMigrations(sql, table));
}

/** Every migration of the application or of the database, in order. Throws nothing about their state. */
export async function migrationStatus(
  sql: Sql,
  files: readonly MigrationFile[],
  table?: string,
): Promise<MigrationState[]> {
  const applied = await appliedMigrations(sql, table);
  const names = new Set([...files, ...applied].map(({ name }) => name));
  return [...names].toSorted(byNumber).map((name) => {
    const record = applied.find((one) => one.name === name);
    const file = files.find((one) => one.name === name);
    if (record === undefined) return { name, state: "pending" };
    const state = file === undefined ? "unknown" : checksumOf(file) === record.checksum ? "applied" : "changed";
    return { name, state, appliedAt: record.appliedAt };
  });
}

/** A pure decision: what is due, or why nothing may be done. */
export function pendingOf(
  files: readonly MigrationFile[],
  applied: readonly Pick<AppliedMigration, "name" | "checksum">[],
): readonly MigrationFile[] {
  const checksums = new Map(applied.map(({ name, checksum }) => [name, checksum]));
  const pending: MigrationFile[] = [];
  for (const file of inOrder(files)) {
    const checksum = checksums.get(file.name);
    if (checksum === undefined) pending.push(file);
    else if (checksum !== checksumOf(file)) throw changed(file.name);
    else if (pending[0]) throw outOfOrder(pending[0].name, file.name);
  }
  return pending;
}

function inOrder(files: readonly MigrationFile[]): MigrationFile[] {
  const names = new Map<number, string>();
  for (const { name } of files) {
    const number = Number(/^(\d{3,})_[A-Za-z0-9_-]+\.sql$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) {
      throw new ScaleError("entry_invalid", `a migration is named "${name}", expected NNN_what_it_does.sql`);
    }
    const other = names.get(number);
    if (other !== undefined) {
      throw new ScaleError("entry_invalid", `the migrations ${other} and ${name} have the same number`, {
        hint: "give the later one the next free number",
      });
    }
    names.set(number, name);
  }
  return files.toSorted((a, b) => byNumber(a.name, b.name));
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10);
}

/** Line endings are a matter of the checkout, not of the migration. */
function checksumOf(file: MigrationFile): string {
  return new Bun.CryptoHasher("sha256").update(file.text.replaceAll("\r\n", "\n")).digest("hex");
}

async function takeLock(session: SqlSession): Promise<void> {
  const deadline = performance.now() + waitMillisecondsMax;
  for (let polls = 0; !(await tryMigrationLock(session)); polls++) {
    if (polls === 0) log.info({}, "another process is migrating this database: waiting for it");
    if (performance.now() > deadline) {
      const waited = formatDuration(waitMillisecondsMax);
      throw new ScaleError("migration_failed", `another process has been migrating this database for ${waited}`, {
        hint: "look for it in pg_stat_activity; its lock ends with its connection",
      });
    }
    await Bun.sleep(pollMilliseconds);
  }
}

async function apply(session: SqlSession, file: MigrationFile, table: string | undefined): Promise<void> {
  if (/^--\s*no transaction\b/.test(file.text)) return applyInSteps(session, file, table);
  refuseTransactionControl(file);
  for (let attempt = 1; ; attempt++) {
    try {
      return await applyWhole(session, file, table);
    } catch (error) {
      await session.script("rollback");
      if (!waitedForLock(error) || attempt >= lockAttempts) throw failed(file, error, placeOf(file, error));
      log.warn({ migration: file.name, attempt }, `${file.name} waits for a lock: ${messageOf(error)}; trying again`);
      await Bun.sleep(fullJitter(attempt, 500, 5_000));
    }
  }
}

async function applyWhole(session: SqlSession, file: MigrationFile, table: string | undefined): Promise<void> {
  await session.script("begin");
  await session.script(file.text);
  await recordMigration(session, file.name, checksumOf(file), table);
  await session.script("commit");
}

async function applyInSteps(session: SqlSession, file: MigrationFile, table: string | undefined): Promise<void> {
  await setLockTimeout(session, 0);
  for (const index of await invalidIndexes(session, file.text)) {
    log.warn({ migration: file.name, index }, `${index} was left invalid by an interrupted run: dropped`);
    await session.script(`drop index concurrently if exists ${index}`);
  }
  for (const { text, line } of splitScript(file.text)) {
    try {
      // What works concurrently blocks nobody while it waits for older transactions.
      await setLockTimeout(session, /\bconcurrently\b/i.test(text) ? 0 : lockTimeoutMilliseconds);
      await session.script(text);
    } catch (error) {
      throw failed(file, error, line);
    }
  }
  await setLockTimeout(session, lockTimeoutMilliseconds);
  await recordMigration(session, file.name, checksumOf(file), table);
}

/** A statement that waits for a lock makes everyone wait who comes after it, so not for long. */
function setLockTimeout(session: SqlSession, milliseconds: number): Promise<void> {
  return session.script(`set lock_timeout = ${milliseconds}`);
}

/** A file that commits by itself would be applied without its record, or half. */
function refuseTransactionControl(file: MigrationFile): void {
  const found = splitScript(file.text).find(({ text }) => /^(begin|start|commit|end|rollback|abort)\b/i.test(text));
  if (found === undefined) return;
  throw new ScaleError("migration_failed", `${file.name}, line ${found.line}: "${found.text}" inside a migration`, {
    hint: "every file runs in a transaction of its own; one that must not begins with the line: -- no transaction",
  });
}

/** 55P03 lock_not_available, 40P01 deadlock_detected: someone is using the table just now. */
function waitedForLock(error: unknown): boolean {
  return error instanceof SqlError && (error.code === "55P03" || error.code === "40P01");
}

function placeOf(file: MigrationFile, error: unknown): number | undefined {
  if (!(error instanceof SqlError) || error.statement !== file.text || error.position === undefined) return undefined;
  return lineAt(file.text, error.position - 1);
}

/** Not reached, or gone meanwhile, says nothing about the file. */
function failed(file: MigrationFile, error: unknown, line: number | undefined): unknown {
  if (!(error instanceof SqlError)) return error;
  const where = line === undefined ? file.name : `${file.name}, line ${line}`;
  const lock = waitedForLock(error) ? "look in pg_stat_activity for who holds the lock" : undefined;
  return new ScaleError("migration_failed", `${where}: ${error.message}`, {
    hint: error.hint ?? lock ?? "mend the file and run scale migrate again; what came before it is applied",
    cause: error,
  });
}

function changed(name: string): ScaleError {
  return new ScaleError("migration_changed", `${name} was applied with another text than it has now`, {
    hint: "restore the file, and put the change into a new migration",
  });
}

function outOfOrder(name: string, applied: string): ScaleError {
  return new ScaleError("migration_changed", `${name} is not applied, but ${applied}, which comes after it, is`, {
    hint: `give ${name} a number after ${applied}`,
  });
}
