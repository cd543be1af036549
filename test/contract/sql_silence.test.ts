/** A PostgreSQL that is there and says nothing: stopped processes, as behind a network that swallows packets. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { openSql, type SqlOptions } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase, startPostgres } from "../harness/postgres.ts";
import { freeze } from "../harness/proc.ts";
import { opener } from "./sql_contract.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

/** One connection, so that whoever is served afterwards got its place. */
const options: Partial<SqlOptions> = { poolMax: 1, statementTimeout: 100, waitTimeout: 30_000 };

interface Backend {
  readonly pid: number;
}

describe("a backend that hangs", () => {
  test("fails the writes sent to it in doubt, has its reads answered elsewhere, and gives its place back", async () => {
    const url = await createDatabase();
    const sql = opener(() => url)(options);
    const [backend] = await sql.query<Backend>(q`select pg_backend_pid() as pid`);
    process.kill(backend!.pid, "SIGSTOP");
    try {
      const [write, read] = await Promise.allSettled([
        sql.query(q`select 1 as one`),
        sql.read<Backend>(q`select pg_backend_pid() as pid`),
      ]);
      expect(write).toMatchObject({ status: "rejected", reason: { code: "outcome_unknown" } });
      expect(String((write as PromiseRejectedResult).reason)).toContain("no answer within 5100 ms");
      expect(read).toMatchObject({ status: "fulfilled", value: [{ pid: expect.any(Number) }] });
      expect((read as PromiseFulfilledResult<Backend[]>).value[0]!.pid).not.toBe(backend!.pid);
      expect(sql.servers[0]).toMatchObject({ connections: 1, running: 0, waiting: 0 });
    } finally {
      process.kill(backend!.pid, "SIGCONT");
      await sql.close();
    }
  });

  test("has its transaction run again as a whole, and nothing of the first run stays", async () => {
    const url = await createDatabase();
    const sql = opener(() => url)(options);
    await sql.session((session) => session.script("create table runs (n int)"));
    const pids: number[] = [];
    const hung = sql.tx(async (tx) => {
      const [backend] = await tx.query<Backend>(q`select pg_backend_pid() as pid`);
      if (pids.push(backend!.pid) === 1) process.kill(backend!.pid, "SIGSTOP");
      await tx.query(q`insert into runs values (${pids.length})`);
    });
    try {
      await hung;
    } finally {
      process.kill(pids[0]!, "SIGCONT");
    }
    await eventually(
      async () => (await sql.query(q`select from pg_stat_activity where pid = ${pids[0]!}`)).length === 0,
    );
    expect(await sql.query(q`select n from runs`)).toEqual([{ n: 2 }]);
    await sql.close();
  });

  test("is waited for in a session, which sets its own limits", async () => {
    const url = await createDatabase();
    const sql = opener(() => url)(options);
    const slept = await sql.session(async (session) => {
      await session.script("set statement_timeout = 0");
      return session.query(q`select 1 as one from pg_sleep(7)`);
    });
    expect(slept).toEqual([{ one: 1 }]);
    await sql.close();
  });
});

test("a server that hangs as a whole is unavailable, and serves again when it answers", async () => {
  const cluster = await startPostgres();
  const sql = openSql(cluster.url, { applicationName: "scale-test", ...options, poolMax: 4, statementTimeout: 100 });
  try {
    await sql.ping();
    const thaw = freeze(cluster.pid());
    try {
      const reads = await Promise.allSettled(Array.from({ length: 4 }, () => sql.read(q`select 1`)));
      for (const read of reads) expect(read).toMatchObject({ reason: { code: "store_unavailable", status: 503 } });
    } finally {
      thaw();
    }
    await eventually(async () => (await sql.query(q`select 1 as one`)).length === 1);
  } finally {
    await sql.close();
    await cluster.remove();
  }
});
