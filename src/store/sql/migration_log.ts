/**
 * What the database knows about migrations: the table of those applied, and the lock that makes one process at a time apply them.
 * Which ones are due, and in what order, is runtime/migrate.ts.
 */
import type { SqlRunner, SqlSession, Statement } from "./sql.ts";

export interface AppliedMigration {
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: Date;
}

/** The application's; whoever has tables of his own in the database has a log of his own. */
const applicationTable = "scale_migrations";
/** Any number nobody else uses: the first eight bytes of SHA-256("scale_migrations"), read as a signed integer. */
const lockKey = "8579419815613209721";

const statement = (text: string, ...parameters: Statement["parameters"]): Statement => ({ text, parameters });

/** In the order of their names. Empty where nothing was ever migrated; creates nothing. */
export async function appliedMigrations(sql: SqlRunner, table = applicationTable): Promise<AppliedMigration[]> {
  const [exists] = await sql.query<{ found: boolean }>(
    statement(`select to_regclass('${table}') is not null as found`),
  );
  if (!exists?.found) return [];
  return sql.query<AppliedMigration>(
    statement(`select name, checksum, applied_at as "appliedAt" from ${table} order by name`),
  );
}

/** A log that is named with its schema has that to itself. */
export async function createLog(session: SqlSession, table = applicationTable): Promise<void> {
  const [schema, name] = table.split(".");
  if (name !== undefined) await createSchema(session, schema!);
  await session.script(
    `create table if not exists ${table} (name text primary key, checksum text not null, applied_at timestamptz not null default now())`,
  );
}

/** Asked first: "if not exists" needs the right to create one even where it exists, made by somebody who has that right. */
async function createSchema(session: SqlSession, schema: string): Promise<void> {
  const text = `select to_regnamespace('${schema}') is not null as found`;
  const [exists] = await session.query<{ found: boolean }>(statement(text));
  if (!exists?.found) await session.script(`create schema if not exists ${schema}`);
}

export async function recordMigration(
  session: SqlSession,
  name: string,
  checksum: string,
  table = applicationTable,
): Promise<void> {
  // What pg_dump writes begins by emptying the search path, and the table is found by it.
  await session.script("reset search_path");
  await session.query(statement(`insert into ${table} (name, checksum) values ($1, $2)`, name, checksum));
}

/**
 * Takes the lock if it is free; it lasts as long as the session. Asked again and again rather than waited for, because a statement
 * that waits holds a snapshot, and CREATE INDEX CONCURRENTLY in the process that has the lock would wait for it.
 */
export async function tryMigrationLock(session: SqlSession): Promise<boolean> {
  const [row] = await session.query<{ taken: boolean }>(statement(`select pg_try_advisory_lock(${lockKey}) as taken`));
  return row!.taken;
}

/** Indexes named in `text` that an interrupted CREATE INDEX CONCURRENTLY left behind: there, maintained, and used by no query. */
export async function invalidIndexes(session: SqlSession, text: string): Promise<string[]> {
  const rows = await session.query<{ index: string; name: string }>(
    statement(
      `select c.oid::regclass::text as index, c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
       where not i.indisvalid and c.relkind = 'i'`,
    ),
  );
  return rows.filter(({ name }) => mentions(text, name)).map(({ index }) => index);
}

/** As a whole word: an index with a similar name may be under construction by somebody else. */
function mentions(text: string, name: string): boolean {
  const words: readonly string[] = text.toLowerCase().match(/[\w$\u0080-\uffff]+/g) ?? [];
  return words.includes(name.toLowerCase()) || text.includes(`"${name}"`);
}
