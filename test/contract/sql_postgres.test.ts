/** The contract on a real server, and what only a server that can be killed shows. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase, type PostgresCluster, startPostgres } from "../harness/postgres.ts";
import { connectionsOf } from "../harness/proc.ts";
import { opener, sqlContract } from "./sql_contract.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

let url = "";
beforeAll(async () => {
  url = await createDatabase();
});
const open = opener(() => url);

sqlContract("PostgreSQL 15", open);

describe("sql on a server", () => {
  test("a statement over the time limit is cancelled by the server", async () => {
    const impatient = open({ statementTimeout: 100, poolMax: 1 });
    try {
      await expect(impatient.query(q`select pg_sleep(5)`)).rejects.toMatchObject({ code: "57014" });
      expect(await impatient.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    } finally {
      await impatient.close();
    }
  });
});

describe("sql when the server goes away", () => {
  test("a transaction whose backend is killed runs again as a whole", async () => {
    const sql = open();
    const admin = open({ poolMax: 1 });
    try {
      await admin.query(q`create table runs (n int)`);
      let runs = 0;
      await sql.tx(async (t) => {
        const [row] = await t.query<{ pid: number }>(q`select pg_backend_pid() as pid`);
        await t.query(q`insert into runs values (${++runs})`);
        if (runs === 1) await admin.query(q`select pg_terminate_backend(${row!.pid})`);
        await t.query(q`select 1`);
      });
      expect(await sql.query(q`select n from runs`)).toEqual([{ n: 2 }]);
    } finally {
      await Promise.all([sql.close(), admin.close()]);
    }
  });

  test("a transaction whose backend is killed each time fails, and nothing of it runs elsewhere", async () => {
    const sql = open();
    const admin = open({ poolMax: 1 });
    try {
      const tx = sql.tx(async (t) => {
        const [row] = await t.query<{ pid: number }>(q`select pg_backend_pid() as pid`);
        await admin.query(q`select pg_terminate_backend(${row!.pid})`);
        await eventually(
          async () => (await admin.query(q`select 1 from pg_stat_activity where pid = ${row!.pid}`)).length === 0,
        );
        await t.query(q`create table must_not_exist (n int)`);
      });
      await expect(tx).rejects.toMatchObject({ code: "store_unavailable" });
      expect(await sql.query(q`select to_regclass('must_not_exist') as t`)).toEqual([{ t: null }]);
    } finally {
      await Promise.all([sql.close(), admin.close()]);
    }
  });

  test("idle connections that the server closed are replaced unseen", async () => {
    const sql = open();
    const admin = open({ poolMax: 1, applicationName: "admin" });
    const port = Number(new URL(url).port);
    const openNow = () => connectionsOf(process.pid).filter(({ remotePort }) => remotePort === port).length;
    try {
      await admin.ping();
      await eventually(() => openNow() === 1, { what: "the end of earlier tests' connections" });
      await Promise.all(Array.from({ length: 4 }, () => sql.query(q`select pg_sleep(0.01)`)));
      await admin.query(
        q`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'scale-test' and datname = current_database()`,
      );
      // What the kernel has closed, the pool hears of a turn of the loop later.
      await eventually(() => openNow() === 1 && sql.servers[0]!.connections === 0, {
        what: "the end of the closed connections",
      });
      for (let n = 0; n < 10; n++) expect(await sql.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    } finally {
      await Promise.all([sql.close(), admin.close()]);
    }
  });

  test("a server killed under load: every statement settles, and service resumes when it is back", async () => {
    const cluster: PostgresCluster = await startPostgres();
    const sql = openSql(cluster.url, { applicationName: "scale-test", poolMax: 4, statementTimeout: 5_000 });
    try {
      await sql.ping();
      const load = Array.from({ length: 200 }, (_, n) =>
        n % 4 === 0 ? sql.tx((tx) => tx.query(q`select pg_sleep(0.01)`)) : sql.query(q`select pg_sleep(0.01)`),
      );
      process.kill(cluster.pid(), "SIGKILL");
      for (const one of await Promise.allSettled(load)) {
        if (one.status === "rejected") expect(["store_unavailable", "outcome_unknown"]).toContain(one.reason.code);
      }
      await expect(sql.ping()).rejects.toMatchObject({ code: "store_unavailable" });
      await cluster.start();
      expect(await sql.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    } finally {
      await sql.close();
      await cluster.remove();
    }
  }, 30_000);

  test("a wrong password and a missing database say so", async () => {
    const failure = async (wrong: string) => {
      const sql = openSql(wrong, { applicationName: "t", poolMax: 1, statementTimeout: 0 });
      const error = await sql.ping().catch((thrown: unknown) => thrown);
      await sql.close();
      return error;
    };
    const password = await failure(url.replace(":harness@", ":geheim@"));
    expect(password).toMatchObject({ code: "store_unavailable", message: expect.stringContaining("28P01") });
    expect(String(password)).not.toContain("geheim");
    expect(await failure(`${url}_missing`)).toMatchObject({ message: expect.stringContaining("3D000") });
  });

  test("real serialization conflicts and deadlocks are tried again until all have committed", async () => {
    const sql = open({ poolMax: 8 });
    try {
      await sql.session((session) =>
        session.script("create table counters (id int primary key, n int); insert into counters values (1, 0), (2, 0)"),
      );
      const increment = (n: number) =>
        sql.tx(
          async (tx) => {
            const order = n % 2 === 0 ? [1, 2] : [2, 1];
            for (const id of order) {
              const [row] = await tx.query<{ n: number }>(q`select n from counters where id = ${id}`);
              await tx.query(q`update counters set n = ${row!.n + 1} where id = ${id}`);
            }
          },
          { isolation: "serializable", attempts: 100 },
        );
      await Promise.all(Array.from({ length: 20 }, (_, n) => increment(n)));
      expect(await sql.query(q`select n from counters order by id`)).toEqual([{ n: 20 }, { n: 20 }]);
    } finally {
      await sql.close();
    }
  }, 30_000);
});
