/** `scale migrate`: brings the database to what the application needs, or says what is missing. The work is runtime/migrate.ts's. */
import type { Config } from "../config/options.ts";
import type { Application } from "../runtime/entry.ts";
import { migrate, type MigrationState, migrationStatus, pendingMigrations } from "../runtime/migrate.ts";
import { migrateOwnTables, ownTablesStatus, pendingOwnTables } from "../runtime/own_tables.ts";
import { ScaleError } from "../std/errors.ts";
import { formatDuration } from "../std/units.ts";
import { openSql, type Sql } from "../store/sql/sql.ts";

export async function run(config: Config, load: () => Promise<Application>): Promise<number> {
  refuseContradictions(config);
  const application = await load();
  const sql = open(config);
  try {
    if (config.status) await showStatus(sql, application);
    else if (config.dryRun) await showPending(sql, application);
    else await apply(sql, application, config.demoData);
  } finally {
    await sql.close();
  }
  return 0;
}

/** Each of these is something else to do. */
function refuseContradictions({ status, dryRun, demoData }: Config): void {
  const asked = [status && "--status", dryRun && "--dry-run", demoData && "--demo-data"].filter(Boolean);
  if (asked.length > 1) throw new ScaleError("usage", `${asked.join(" and ")} exclude each other: give one of them`);
}

function open({ databaseUrl }: Config): Sql {
  if (databaseUrl === undefined) {
    throw new ScaleError("store_not_configured", "scale migrate needs a database, and none is configured", {
      hint: "--database-url=postgres://… (DATABASE_URL); the embedded one's is in .scale/postgres/url while scale dev runs",
    });
  }
  // A migration takes as long as it takes.
  return openSql(databaseUrl, { applicationName: "scale-migrate", poolMax: 2, statementTimeout: 0 });
}

async function apply(sql: Sql, application: Application, demoData: Config["demoData"]): Promise<void> {
  const own = await migrateOwnTables(sql);
  if (own.length > 0) print(`scale's own tables: ${own.length} applied`);
  const applied = await migrate(sql, application.migrations);
  print(applied.length === 0 ? "nothing to do: every migration is applied" : `${applied.length} applied, none pending`);
  if (demoData) await fill(sql, application, demoData);
}

async function fill(sql: Sql, application: Application, wanted: NonNullable<Config["demoData"]>): Promise<void> {
  const { demoData } = application;
  if (demoData === undefined) {
    throw new ScaleError(
      "usage",
      `--demo-data fills the tables of the built-in demo, and ${application.source} is not it`,
      {
        hint: "leave out the entry",
      },
    );
  }
  const started = performance.now();
  await sql.tx(async (tx) => {
    const text = "select set_config('demo.users', $1, true), set_config('demo.posts', $2, true)";
    await tx.query({ text, parameters: [String(wanted.users), String(wanted.posts)] });
    await tx.script(demoData);
  });
  print(`${wanted.users} users and ${wanted.posts} posts are there, in ${formatDuration(performance.now() - started)}`);
}

async function showStatus(sql: Sql, application: Application): Promise<void> {
  const states = [...(await ownTablesStatus(sql)), ...(await migrationStatus(sql, application.migrations))];
  const width = Math.max(0, ...states.map(({ name }) => name.length));
  for (const state of states) print(`${state.name.padEnd(width)}  ${describe(state)}`);
  const pending = states.filter(({ state }) => state === "pending").length;
  print(`${states.length} migrations, ${pending} pending`);
}

function describe({ state, appliedAt }: MigrationState): string {
  const when = appliedAt?.toISOString() ?? "";
  if (state === "applied") return `applied ${when}`;
  if (state === "changed") return `CHANGED since it was applied ${when}`;
  if (state === "unknown") return `applied ${when} by another version of the application`;
  return "pending";
}

async function showPending(sql: Sql, application: Application): Promise<void> {
  const pending = [...(await pendingOwnTables(sql)), ...(await pendingMigrations(sql, application.migrations))];
  for (const { name, text } of pending) print(`-- ${name}\n${text.trimEnd()}\n`);
  print(`-- ${pending.length} pending; nothing was changed`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
