/** What migrations promise, on every driver: migrate_postgres.test.ts, sql_embedded.test.ts. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";

import { migrate, type MigrationFile, migrationStatus, pendingMigrations } from "../../src/runtime/migrate.ts";
import type { Sql } from "../../src/store/sql/sql.ts";
import type { Open } from "./sql_contract.ts";

const s = (text: string) => ({ text, parameters: [] });

const one: MigrationFile = {
  name: "001_people.sql",
  text: "create table people (id int primary key);\ninsert into people values (1);",
};
const two: MigrationFile = {
  name: "002_names.sql",
  text: "alter table people add column name text; -- a semicolon; in a comment",
};
const broken: MigrationFile = { name: "003_broken.sql", text: "create table half (n int);\n\nselect no_such_column;" };
const online: MigrationFile = {
  name: "003_index.sql",
  text: "-- no transaction\ncreate index concurrently if not exists people_name on people (name);\n\ncreate index concurrently if not exists people_both on people (id, name);",
};

export function migrateContract(driver: string, open: Open): void {
  describe(`migrations on ${driver}`, () => {
    let sql: Sql;
    beforeEach(async () => {
      sql ??= open();
      await sql.session((session) =>
        session.script("drop table if exists scale_migrations, people, half, slow, t_0, t_1, t_2, t_3, t_4"),
      );
    });
    afterAll(() => sql.close());
    const names = async () =>
      (await sql.query<{ name: string }>(s("select name from scale_migrations order by name"))).map((row) => row.name);
    const exists = async (table: string) =>
      (await sql.query<{ found: boolean }>(s(`select to_regclass('${table}') is not null as found`)))[0]!.found;

    test("files are applied in order, once, and recorded", async () => {
      expect(await pendingMigrations(sql, [two, one])).toEqual([one, two]);
      expect(await exists("scale_migrations")).toBe(false);
      expect(await migrate(sql, [two, one])).toEqual([one, two]);
      expect(await migrate(sql, [one, two])).toEqual([]);
      expect(await names()).toEqual([one.name, two.name]);
      expect(await sql.query(s("select id, name from people"))).toEqual([{ id: 1, name: null }]);
    });

    test("a file that fails leaves nothing behind, keeps what came before, and is named with its line", async () => {
      const failure = await migrate(sql, [one, two, broken]).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: "migration_failed",
        message: expect.stringContaining("003_broken.sql, line 3"),
      });
      expect(await names()).toEqual([one.name, two.name]);
      expect(await exists("half")).toBe(false);
      expect(await migrate(sql, [one, two, { ...broken, text: "create table half (n int)" }])).toHaveLength(1);
    });

    test("an applied file that was edited is an error, and line endings are not an edit", async () => {
      await migrate(sql, [one]);
      expect(await pendingMigrations(sql, [{ ...one, text: one.text.replaceAll("\n", "\r\n") }])).toEqual([]);
      const edited = { ...one, text: `${one.text} ` };
      await expect(migrate(sql, [edited, two])).rejects.toMatchObject({ code: "migration_changed" });
      expect(await names()).toEqual([one.name]);
      expect(await migrationStatus(sql, [edited, two])).toMatchObject([
        { name: one.name, state: "changed" },
        { name: two.name, state: "pending" },
      ]);
    });

    test("a file older than what is applied is an error; one the application does not know is another version's", async () => {
      await migrate(sql, [{ ...two, text: "select 1" }]);
      await expect(migrate(sql, [one, { ...two, text: "select 1" }])).rejects.toMatchObject({
        code: "migration_changed",
      });
      expect(await pendingMigrations(sql, [])).toEqual([]);
      expect(await migrationStatus(sql, [])).toMatchObject([{ name: two.name, state: "unknown" }]);
    });

    test("'-- no transaction' runs statement by statement, and can run again after a failure", async () => {
      await migrate(sql, [one, two]);
      const failing = { ...online, text: `${online.text}\nselect no_such_column;` };
      await expect(migrate(sql, [one, two, failing])).rejects.toMatchObject({
        code: "migration_failed",
        message: expect.stringContaining("line 5"),
      });
      expect(await exists("people_both")).toBe(true);
      expect(await migrate(sql, [one, two, online])).toEqual([online]);
    });

    test("a migration cannot commit by itself", async () => {
      const sly = { name: "001_sly.sql", text: "create table half (n int);\ncommit;" };
      await expect(migrate(sql, [sly])).rejects.toMatchObject({
        code: "migration_failed",
        message: expect.stringContaining("line 2"),
      });
      expect(await exists("half")).toBe(false);
    });

    test("a file may leave the search path empty, as a dump of pg_dump does", async () => {
      const dump = {
        name: "001_dump.sql",
        text: "select pg_catalog.set_config('search_path', '', false);\ncreate table public.half (n int);",
      };
      const online = { name: "002_online.sql", text: `-- no transaction\n${dump.text.replace("half", "t_0")}` };
      expect(await migrate(sql, [dump, online, { name: "003_t.sql", text: "create table t_1 (n int)" }])).toHaveLength(
        3,
      );
      expect(await exists("t_1")).toBe(true);
    });

    test("a fleet that starts at once applies each file once", async () => {
      const files = Array.from({ length: 5 }, (_, n) => ({
        name: `00${n + 1}_t.sql`,
        text: `create table t_${n} (n int); select pg_sleep(0.02)`,
      }));
      files.push({ name: "006_index.sql", text: "-- no transaction\ncreate index concurrently t_0_n on t_0 (n);" });
      const fleet = [open({ poolMax: 2 }), open({ poolMax: 2 }), open({ poolMax: 2 })];
      try {
        const applied = await Promise.all(fleet.map((member) => migrate(member, files)));
        expect(applied.flat()).toEqual(files);
      } finally {
        await Promise.all(fleet.map((member) => member.close()));
      }
    }, 30_000);
  });
}
