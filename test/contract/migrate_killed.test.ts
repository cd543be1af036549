/** A process that migrates is killed at each of its steps, and the next run ends what it began: every file once, whole, and recorded. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { migrate, migrationStatus } from "../../src/runtime/migrate.ts";
import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { createDatabase } from "../harness/postgres.ts";

// Some fifty processes one after the other.
setDefaultTimeout(180_000);

const files = [
  { name: "001_people.sql", text: "create table people (id int primary key); insert into people values (1)" },
  {
    name: "002_online.sql",
    // Written so that it may begin again, as such a file must be.
    text: "-- no transaction\ncreate index concurrently if not exists people_up on people (id);\ncreate unique index concurrently if not exists people_down on people (id desc);",
  },
  { name: "003_names.sql", text: "alter table people add column name text; insert into people values (2, 'Ada')" },
];
/** Fewer would be no migration of three files. */
const stepsMin = 15;

let url = "";
let sql: Sql;
beforeAll(async () => {
  url = await createDatabase();
  sql = openSql(url, { applicationName: "test", poolMax: 2, statementTimeout: 10_000 });
});
afterAll(() => sql.close());

const rowsOf = (text: string) => sql.query({ text, parameters: [] });

/** True where it was killed, false where it had come to its end before. */
async function isKilledAt(step: number, when: string): Promise<boolean> {
  const program = `${import.meta.dir}/fixtures/doomed_migration.ts`;
  const command = [process.execPath, program, url, String(step), when, JSON.stringify(files)];
  const doomed = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await doomed.exited;
  expect([0, 137]).toContain(code);
  return code !== 0;
}

test.each(["before", "after"])("killed %s a step, the next run completes it, whichever step it was", async (when) => {
  let step = 1;
  for (; ; step++) {
    await sql.session((session) => session.script("drop table if exists scale_migrations, people"));
    if (!(await isKilledAt(step, when))) break;
    await migrate(sql, files);
    const states = await migrationStatus(sql, files);
    expect(states.map(({ name, state }) => [name, state])).toEqual(files.map(({ name }) => [name, "applied"]));
    expect(await rowsOf("select id, name from people order by id")).toEqual([
      { id: 1, name: null },
      { id: 2, name: "Ada" },
    ]);
    const indexes = "select indexrelid::regclass::text as name, indisvalid as valid from pg_index";
    expect(await rowsOf(`${indexes} where indrelid = 'people'::regclass order by 1`)).toEqual([
      { name: "people_down", valid: true },
      { name: "people_pkey", valid: true },
      { name: "people_up", valid: true },
    ]);
  }
  expect(step).toBeGreaterThan(stepsMin);
});
