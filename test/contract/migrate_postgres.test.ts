/** Migrations on a real server, and what needs a second session or a process that is killed. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { migrate } from "../../src/runtime/migrate.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase } from "../harness/postgres.ts";
import { migrateContract } from "./migrate_contract.ts";
import { opener } from "./sql_contract.ts";

setDefaultTimeout(60_000);

let url = "";
beforeAll(async () => {
  url = await createDatabase();
});
const open = opener(() => url);
const s = (text: string) => ({ text, parameters: [] });

migrateContract("PostgreSQL 15", open);

describe("migrations on a server in use", () => {
  test("a lock held for a moment delays a migration, and blocks nobody for longer than lock_timeout", async () => {
    const fresh = opener(() => url)();
    await fresh.session((session) =>
      session.script("drop table if exists scale_migrations, busy; create table busy (n int)"),
    );
    const held = fresh.tx(async (tx) => {
      await tx.query(s("select * from busy"));
      await tx.query(s("select pg_sleep(6)"));
    });
    const applied = await migrate(fresh, [{ name: "001_wait.sql", text: "alter table busy add column m int" }]);
    expect(applied).toHaveLength(1);
    await held;
    await fresh.close();
  }, 30_000);

  test("an index that an interrupted run left invalid is built again", async () => {
    const database = await createDatabase();
    const sql = opener(() => database)();
    const file = {
      name: "001_unique.sql",
      text: "-- no transaction\ncreate unique index concurrently if not exists people_id on people (id);",
    };
    await sql.session((session) => session.script("create table people (id int); insert into people values (1), (1)"));
    await expect(migrate(sql, [file])).rejects.toMatchObject({ code: "migration_failed" });
    expect(await sql.query(s("select indisvalid from pg_index where indexrelid = 'people_id'::regclass"))).toEqual([
      { indisvalid: false },
    ]);
    await sql.query(s("delete from people"));
    expect(await migrate(sql, [file])).toEqual([file]);
    expect(await sql.query(s("select indisvalid from pg_index where indexrelid = 'people_id'::regclass"))).toEqual([
      { indisvalid: true },
    ]);
    await sql.close();
  });

  test("an invalid index with a similar name may be under construction by somebody else: it stays", async () => {
    const sql = opener(() => url)();
    await sql.session((session) =>
      session.script(
        "drop table if exists scale_migrations, alike_t; create table alike_t (id int); insert into alike_t values (1), (1)",
      ),
    );
    const theirs = "create unique index concurrently alike on alike_t (id)";
    await expect(sql.session((session) => session.script(theirs))).rejects.toMatchObject({ code: "23505" });
    await migrate(sql, [
      { name: "001_x.sql", text: "-- no transaction\ncreate index concurrently alike_too on alike_t (id);" },
    ]);
    expect(await sql.query(s("select indisvalid from pg_index where indexrelid = 'alike'::regclass"))).toEqual([
      { indisvalid: false },
    ]);
    await sql.close();
  });

  test("killed in the middle of a file, the next run applies it whole", async () => {
    const database = await createDatabase();
    const sql = opener(() => database)();
    const files = [
      { name: "001_slow.sql", text: "create table slow (n int); select pg_sleep(30); insert into slow values (1)" },
    ];
    const program = `
      const { migrate } = await import(${JSON.stringify(import.meta.resolve("../../src/runtime/migrate.ts"))});
      const { openSql } = await import(${JSON.stringify(import.meta.resolve("../../src/store/sql/sql.ts"))});
      await migrate(openSql(${JSON.stringify(database)}, { applicationName: "doomed", poolMax: 2, statementTimeout: 0 }), ${JSON.stringify(files)});`;
    const doomed = Bun.spawn([process.execPath, "-e", program], { stdio: ["ignore", "ignore", "ignore"] });
    const sleeping = s("select pid from pg_stat_activity where application_name = 'doomed' and wait_event = 'PgSleep'");
    await eventually(async () => (await sql.query(sleeping)).length > 0);
    doomed.kill("SIGKILL");
    await doomed.exited;
    // The server notices a dead client when it next writes to it; an operator would end it like this.
    await sql.query(s("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed'"));
    expect(await migrate(sql, [{ ...files[0]!, text: files[0]!.text.replace("30", "0") }])).toHaveLength(1);
    expect(await sql.query(s("select n from slow"))).toEqual([{ n: 1 }]);
    await sql.close();
  }, 30_000);
});
