/** scale's own tables in the application's database: brought up to date by the same rules as the application's, before them. */
import { ownMigrations, ownMigrationsTable } from "../store/outbox/schema.ts";
import type { Sql } from "../store/sql/sql.ts";
import { migrate, type MigrationFile, type MigrationState, migrationStatus, pendingMigrations } from "./migrate.ts";

export function migrateOwnTables(sql: Sql): Promise<readonly MigrationFile[]> {
  return migrate(sql, ownMigrations, ownMigrationsTable);
}

/** Named as people see them among the application's: scale/NNN_what_it_does.sql. */
export async function pendingOwnTables(sql: Sql): Promise<readonly MigrationFile[]> {
  const pending = await pendingMigrations(sql, ownMigrations, ownMigrationsTable);
  return pending.map(({ name, text }) => ({ name: `scale/${name}`, text }));
}

/** Likewise. */
export async function ownTablesStatus(sql: Sql): Promise<readonly MigrationState[]> {
  const states = await migrationStatus(sql, ownMigrations, ownMigrationsTable);
  return states.map(({ name, state, appliedAt }) => ({ name: `scale/${name}`, state, appliedAt }));
}
