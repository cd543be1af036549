/**
 * `scale doctor --database`: asks the applications and workers that run here which statements they send, has PostgreSQL explain each, and says which
 * read a large table from end to end, which index would serve, and which foreign keys have none. Changes nothing. What a plan means is
 * plan.ts.
 */
import type { Config } from "../../config/options.ts";
import { type Presence, running } from "../../ops/run_dir.ts";
import { type Shape, sumOfShapes } from "../../runtime/sum_of_shapes.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { openSql, type Sql, type SqlSession, type Statement } from "../../store/sql/sql.ts";
import { adviceFor, type PlanNode, scansOf } from "./plan.ts";

/** Below this a scan is as fast as an index. */
const largeRows = 10_000;
const answerMilliseconds = 5_000;
const statementTimeout = 10_000;

/** What is wrong with the database, and with how applications ask it. */
export async function databaseFindings(config: Config): Promise<readonly string[]> {
  if (config.databaseUrl === undefined) {
    throw new ScaleError("configuration_invalid", "scale doctor --database needs a database, and none is configured", {
      hint: "--database-url=postgres://… (DATABASE_URL)",
    });
  }
  const { shapes, silent } = await shapesSeen(config.runDir);
  const sql = openSql(config.databaseUrl, { applicationName: "scale-doctor", poolMax: 1, statementTimeout });
  try {
    const findings = [...silent, ...(await slowStatements(sql, shapes)), ...(await bareForeignKeys(sql))];
    print(`${shapes.length} statements looked at, ${findings.length} findings`);
    return findings;
  } finally {
    await sql.close();
  }
}

interface Seen {
  /** The most used first. */
  readonly shapes: readonly Shape[];
  /** A finding for each process that did not say. */
  readonly silent: readonly string[];
}

/** Of every application and worker that runs here. */
async function shapesSeen(runDir: string): Promise<Seen> {
  const apps = [...running(runDir, "app"), ...running(runDir, "worker")];
  if (apps.length === 0) {
    print(`no application and no worker runs with --run-dir=${runDir}: only foreign keys are looked at`);
    return { shapes: [], silent: [] };
  }
  const answers = await Promise.all(apps.map(askForShapes));
  return {
    shapes: sumOfShapes(answers.filter((answer) => typeof answer !== "string")),
    silent: answers.filter((answer) => typeof answer === "string"),
  };
}

/** Resolves with what is wrong where it does not answer. */
async function askForShapes({ pid, role, admin }: Presence): Promise<readonly Shape[] | string> {
  const url = `http://${admin}/statements`;
  const finding = (what: string) =>
    `role ${role} (${pid}) does not say which statements it sends: ${url} ${what}\n  Fix: a process of this version of scale, alive and ready`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(answerMilliseconds) });
    if (answer.ok) return (await answer.json()) as readonly Shape[];
    return finding(`answers with status ${answer.status}: ${oneLine(await answer.text())}`);
  } catch (error) {
    return finding(`does not answer: ${messageOf(error)}`);
  }
}

async function slowStatements(sql: Sql, shapes: readonly Shape[]): Promise<string[]> {
  const tables = await tablesOf(sql);
  const findings: string[] = [];
  for (const { text, times } of shapes) {
    const plan = await explain(sql, text);
    if (plan === undefined) continue;
    for (const scan of scansOf(plan, (table) => tables.get(table)?.rows ?? 0, largeRows)) {
      const { rows, quoted, indexes } = tables.get(scan.table)!;
      findings.push(
        `reads all ${rows} rows of ${scan.table}, sent ${times} times:\n  ${oneLine(text)}\n` +
          `  Fix: ${adviceFor(scan, quoted, indexes)}`,
      );
    }
  }
  return findings;
}

/**
 * The plan for any values, which is what a statement with parameters gets sooner or later. Undefined for what cannot be explained, such as
 * DDL, or a statement whose table is gone.
 */
async function explain(sql: Sql, text: string): Promise<PlanNode | undefined> {
  try {
    return await sql.session((session) => genericPlan(session, text));
  } catch (error) {
    // Not the statement's fault: the others would fail the same way.
    if (error instanceof ScaleError) throw error;
    print(`not explained (${messageOf(error)}): ${oneLine(text)}`);
    return undefined;
  }
}

async function genericPlan(session: SqlSession, text: string): Promise<PlanNode | undefined> {
  if (!/^\s*(select|with|insert|update|delete)\b/i.test(text)) return undefined;
  await session.script("set plan_cache_mode = force_generic_plan");
  await session.script(`prepare looked_at as ${text}`);
  const count = Math.max(0, ...Array.from(text.matchAll(/\$(\d+)/g), ([, number]) => Number(number)));
  const nulls = Array.from({ length: count }, () => "null").join(", ");
  const [row] = await session.query<{ "QUERY PLAN": readonly { readonly Plan: PlanNode }[] }>(
    statement(`explain (format json) execute looked_at${count === 0 ? "" : `(${nulls})`}`),
  );
  return row?.["QUERY PLAN"][0]?.Plan;
}

interface Table {
  readonly table: string;
  readonly quoted: string;
  readonly rows: number;
  /** Columns and expressions of each whole index that is in use. */
  readonly indexes: readonly (readonly string[])[];
}

async function tablesOf(sql: Sql): Promise<ReadonlyMap<string, Table>> {
  const tables = await sql.query<Table>(
    statement(
      `select relname as table, quote_ident(relname) as quoted, greatest(reltuples, 0)::float8 as rows,
         coalesce((select json_agg(array(select pg_get_indexdef(indexrelid, place, true) from generate_series(1, indnkeyatts) place))
           from pg_index where indrelid = pg_class.oid and indisvalid and indpred is null), '[]') as indexes
       from pg_class
       where relkind in ('r', 'p') and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`,
    ),
  );
  return new Map(tables.map((table) => [table.table, table]));
}

/** A row that is deleted or changed is looked for in every table that refers to it: without an index, from end to end. */
async function bareForeignKeys(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ table: string; columns: string }>(
    statement(
      `select conrelid::regclass::text as table,
         (select string_agg(quote_ident(attname), ', ' order by position)
          from unnest(conkey) with ordinality as key (number, position)
          join pg_attribute on attrelid = conrelid and attnum = number) as columns
       from pg_constraint
       where contype = 'f' and not exists (
         select from pg_index where indrelid = conrelid and indisvalid and indpred is null
         and (string_to_array(indkey::text, ' ')::int2[])[1:cardinality(conkey)] @> conkey)
       order by 1, 2`,
    ),
  );
  return rows.map(
    ({ table, columns }) =>
      `the foreign key ${table} (${columns}) has no index\n  Fix: create index concurrently on ${table} (${columns})`,
  );
}

function statement(text: string): Statement {
  return { text, parameters: [] };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
