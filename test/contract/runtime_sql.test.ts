/** The object sql as an application uses it. Drivers and pools are sql_contract.ts's. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import type { Tx } from "scale";

import type { Config } from "../../src/config/options.ts";
import { cache } from "../../src/runtime/cache.ts";
import { job } from "../../src/runtime/jobs.ts";
import { JsonText } from "../../src/runtime/json_text.ts";
import { migrateOwnTables, ownTablesStatus, pendingOwnTables } from "../../src/runtime/own_tables.ts";
import { closeStores, openStores, sqlStore } from "../../src/runtime/runtime.ts";
import { sql } from "../../src/runtime/sql.ts";
import { createDatabase } from "../harness/postgres.ts";

setDefaultTimeout(60_000);

test("without a database the error names the flag", async () => {
  await expect(sql.read`select 1`).rejects.toMatchObject({
    code: "store_not_configured",
    message: expect.stringContaining("sql.read"),
    hint: expect.stringContaining("--database-url"),
  });
});

describe("sql", () => {
  beforeAll(async () => {
    const databaseUrl = await createDatabase();
    openStores({
      databaseUrl,
      sqlPoolMax: 2,
      replicaUrl: [],
      sqlStatementTimeout: 10_000,
      namespace: "t",
      command: "app",
    } as unknown as Config);
    await sql.write`create table users (id bigint generated always as identity primary key, email text unique)`;
  });
  afterAll(() => closeStores());

  test("the tags read, write and build JSON, with fragments, names and lists", async () => {
    const emails = ["a@x", "b@x", "c@x"];
    await sql.write`insert into users (email) select unnest(${emails}::text[])`;
    const where = sql.fragment`where ${sql.name("email")} in (${sql.list(emails.slice(1))})`;
    expect(await sql.read<{ id: string }>`select id from users ${where} order by id`).toEqual([
      { id: "2" },
      { id: "3" },
    ]);
    const page = await sql.json`select id::text, email from users ${where} order by id`;
    expect(page).toBeInstanceOf(JsonText);
    expect(page.json).toBe('[{"id":"2","email":"b@x"},{"id":"3","email":"c@x"}]');
  });

  test("an application tells a duplicate from any other failure by SQLSTATE", async () => {
    const failure = await sql.write`insert into users (email) values (${"a@x"})`.catch((error: unknown) => error);
    expect((failure as { code?: string }).code).toBe("23505");
  });

  test("a transaction's own tags see its writes; a thrown error undoes them", async () => {
    const inside = sql.tx(async (tx) => {
      await tx.write`insert into users (email) values (${"d@x"})`;
      expect(await tx.read`select email from users where email = ${"d@x"}`).toEqual([{ email: "d@x" }]);
      expect((await tx.json`select email from users where email = ${"d@x"}`).json).toBe('[{"email":"d@x"}]');
      throw new Error("changed my mind");
    });
    await expect(inside).rejects.toThrow("changed my mind");
    expect(await sql.read`select 1 from users where email = ${"d@x"}`).toEqual([]);
  });

  test("inside a transaction sql itself is refused, at any depth, and works again after it", async () => {
    const helper = () => sql.read`select 1 as one`;
    await expect(sql.tx(() => helper())).rejects.toThrow("sql.read was called inside sql.tx");
    await expect(sql.tx(() => sql.tx(() => Promise.resolve(1)))).rejects.toThrow("sql.tx was called inside sql.tx");
    let later: Promise<unknown> = Promise.resolve();
    await sql.tx(async (tx) => {
      await tx.read`select 1`;
      later = Bun.sleep(5).then(helper);
    });
    expect(await later).toEqual([{ one: 1 }]);
  });

  test("what goes into a transaction needs one that is open", async () => {
    const greet = job<null>("greet", () => undefined);
    let over: Tx | undefined;
    await sql.tx(async (tx) => void (over = tx));
    const nothing = sql as unknown as Tx;
    await expect(greet.enqueue(null, { tx: over! })).rejects.toThrow(
      'enqueue of job "greet" got a transaction that is over as its tx',
    );
    await expect(greet.enqueueMany([null], { tx: nothing })).rejects.toThrow("something that is no transaction");
    await expect(cache.invalidate({ keys: ["k"], tx: over! })).rejects.toMatchObject({ code: "statement_invalid" });
  });

  test("scale's own tables are made once, also in a schema that somebody else made", async () => {
    const inner = sqlStore("test");
    const failure = () => sql.tx((tx) => cache.invalidate({ keys: ["k"], tx })).catch((error: unknown) => error);
    expect(await failure()).toMatchObject({
      code: "migrations_pending",
      hint: expect.stringContaining("scale migrate"),
    });
    await sql.write`create schema scale`;
    expect((await pendingOwnTables(inner)).map(({ name }) => name)).toEqual(["scale/001_outbox.sql"]);
    const all = await Promise.all([migrateOwnTables(inner), migrateOwnTables(inner)]);
    expect(all.flat()).toHaveLength(1);
    expect(await ownTablesStatus(inner)).toMatchObject([{ name: "scale/001_outbox.sql", state: "applied" }]);
    expect(await sql.read`select 1 from scale.outbox`).toEqual([]);
  });

  test("a read that changes rows is refused, on one server as with replicas", async () => {
    await expect(sql.read`insert into nowhere values (1)`).rejects.toMatchObject({
      code: "statement_invalid",
      hint: expect.stringContaining("sql.write"),
    });
    expect(await sql.tx((tx) => tx.read`with one as (select 1 as n) select n from one`)).toEqual([{ n: 1 }]);
  });

  test("a mistake in the template is a rejection, not an exception", async () => {
    const nothing = undefined as unknown as string;
    await expect(sql.read`select ${nothing}`).rejects.toMatchObject({ code: "statement_invalid" });
    await expect(sql.json`select ${nothing}`).rejects.toMatchObject({ code: "statement_invalid" });
    void sql.write`select ${nothing}`;
    await Bun.sleep(0);
  });
});
