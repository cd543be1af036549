/** `scale migrate` as a person runs it: what is pending, what would be done, what was done, and what must not be done any more. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";

import { openSql } from "../../src/store/sql/sql.ts";
import { createDatabase } from "../harness/postgres.ts";
import { runScale } from "../harness/process.ts";
import { temporaryDirectory } from "../harness/temporary.ts";

setDefaultTimeout(60_000);

const first = "create table notes (id bigint primary key);\n";
const second = "-- no transaction\ncreate index concurrently if not exists notes_id on notes (id);\n";

/** An application with two migrations, and how scale migrate is run for it. */
async function site() {
  const directory = temporaryDirectory("migrate");
  const put = (name: string, text: string) => writeFileSync(`${directory}/${name}`, text);
  put(
    "entry.ts",
    'import { app } from "scale";\nexport default app({ routes: { "/": () => null }, migrations: "." });\n',
  );
  put("001_notes.sql", first);
  put("002_index.sql", second);
  const databaseUrl = await createDatabase();
  const migrate = (...flags: readonly string[]) =>
    runScale(["migrate", `${directory}/entry.ts`, ...flags], { env: { DATABASE_URL: databaseUrl } });
  const tables = async () => {
    const sql = openSql(databaseUrl, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
    const rows = await sql.query<{ name: string }>({
      text: "select relname as name from pg_class where relname in ('notes', 'notes_id', 'scale_migrations') order by 1",
      parameters: [],
    });
    await sql.close();
    return rows.map(({ name }) => name);
  };
  return { put, migrate, tables };
}

test("what is pending is listed and shown without being done; then it is done, once", async () => {
  const { migrate, tables } = await site();
  const before = await migrate("--status");
  expect(before).toMatchObject({ code: 0, stderr: "" });
  expect(before.stdout).toMatch(/^001_notes\.sql +pending\n002_index\.sql +pending$/m);

  const dry = await migrate("--dry-run");
  expect(dry).toMatchObject({ code: 0, stderr: "" });
  expect(dry.stdout).toContain(`-- 001_notes.sql\n${first}`);
  expect(dry.stdout).toContain(`-- 002_index.sql\n${second}`);
  expect(dry.stdout).toContain("nothing was changed");
  expect(await tables()).toEqual([]);

  expect((await migrate()).stdout).toContain("2 applied, none pending");
  expect(await tables()).toEqual(["notes", "notes_id", "scale_migrations"]);
  expect((await migrate()).stdout).toContain("nothing to do");
  expect((await migrate("--dry-run")).stdout).toContain("-- 0 pending; nothing was changed");
  expect((await migrate("--status")).stdout).toMatch(/^002_index\.sql +applied 20\d\d-/m);

  const both = await migrate("--status", "--dry-run");
  expect(both).toMatchObject({ code: 2, stdout: "" });
  expect(both.stderr).toContain("--status and --dry-run exclude each other");
});

test("a file that was applied and changed since is shown by --status, and stops what comes after it", async () => {
  const { put, migrate } = await site();
  expect(await migrate()).toMatchObject({ code: 0 });
  put("001_notes.sql", `${first}-- edited\n`);
  put("003_more.sql", "create table more (id bigint);\n");
  expect((await migrate("--status")).stdout).toMatch(/^001_notes\.sql +CHANGED since it was applied 20\d\d-/m);
  const refused = await migrate();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("001_notes.sql was applied with another text than it has now");
  expect(refused.stderr).toContain("Fix: restore the file");
  put("001_notes.sql", first.replaceAll("\n", "\r\n"));
  expect((await migrate()).stdout).toContain("1 applied, none pending");
});

test("a fleet that runs it at once applies each file once", async () => {
  const { migrate } = await site();
  const runs = await Promise.all(Array.from({ length: 4 }, () => migrate()));
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  const applied = runs.filter(({ stdout }) => stdout.includes("2 applied"));
  expect(applied).toHaveLength(1);
});
