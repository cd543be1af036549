/**
 * The tables scale itself keeps in the application's database, in a schema of its own, by migrations like the application's: ordered,
 * checksummed, never edited once released. Applying them is runtime/migrate.ts, what is in them outbox.ts.
 */

/** Where it is recorded which of these were applied. */
export const ownMigrationsTable = "scale.migrations";

export const ownMigrations: readonly { readonly name: string; readonly text: string }[] = [
  {
    name: "001_outbox.sql",
    // The table is a queue: rows live for milliseconds, and what they leave behind must not be walked over by every look.
    text: `
create table scale.outbox (
  namespace text not null,
  id uuid not null, -- of version 7: in the order of time
  kind text not null,
  version smallint not null, -- of the body
  queue text, -- of a job
  body text not null,
  due_at timestamptz, -- of a delayed job
  created_at timestamptz not null default now(),
  primary key (namespace, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
`,
  },
];
