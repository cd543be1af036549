/** The contract through a PgBouncer in transaction mode, and what cannot be had there. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { migrate } from "../../src/runtime/migrate.ts";
import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { Reader } from "../../src/store/sql/reader.ts";
import { eventually } from "../harness/eventually.ts";
import { type Bouncer, startPgBouncer } from "../harness/pgbouncer.ts";
import { sharedPostgres, startReplica } from "../harness/postgres.ts";
import { opener, sqlContract } from "./sql_contract.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

let bouncer: Bouncer;
let url = "";
beforeAll(async () => {
  const server = await sharedPostgres();
  url = await server.createDatabase();
  // Two servers for many clients: whatever was left on one would be met by somebody else.
  bouncer = await startPgBouncer(server, { default_pool_size: "2" });
});
afterAll(() => bouncer.stop());
const open = opener(() => bouncer.url(url));
const direct = opener(() => url);

sqlContract("PgBouncer in transaction mode", open, direct);

describe("through a PgBouncer", () => {
  test.each([
    ["a session", (sql: ReturnType<typeof open>) => sql.session(async () => undefined)],
    ["listening", (sql: ReturnType<typeof open>) => sql.listen("c", () => undefined, new AbortController().signal)],
    [
      "migrating",
      (sql: ReturnType<typeof open>) => migrate(sql, [{ name: "001_t.sql", text: "create table t (n int)" }]),
    ],
  ])("%s is refused, and the error says where it can be had", async (_, ask) => {
    await using sql = Object.assign(open(), { [Symbol.asyncDispose]: () => sql.close() });
    const refusal = await ask(sql).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "configuration_invalid",
      message: expect.stringContaining(`127.0.0.1:${bouncer.port} is a PgBouncer in transaction mode`),
      hint: expect.stringContaining("without pgbouncer=true"),
    });
  });

  test("migrating is none of its concern where nothing is pending", async () => {
    const [owner, sql] = [direct(), open()];
    const files = [{ name: "001_done.sql", text: "create table done (n int)" }];
    await migrate(owner, files);
    expect(await migrate(sql, files)).toEqual([]);
    await Promise.all([owner.close(), sql.close()]);
  });

  test("a transaction has the limit on statements, and leaves it to nobody", async () => {
    const sql = open({ statementTimeout: 100 });
    await expect(sql.tx((tx) => tx.query(q`select pg_sleep(5)`))).rejects.toMatchObject({ code: "57014" });
    const limits = await Promise.all(
      Array.from({ length: 20 }, () => sql.query<{ t: string }>(q`select current_setting('statement_timeout') as t`)),
    );
    expect(new Set(limits.flat().map(({ t }) => t))).toEqual(new Set(["0"]));
    await sql.close();
  });

  test("no connection has more than one statement at a time, and many share few servers", async () => {
    const sql = open({ poolMax: 8, pipelineMax: 4, waitTimeout: 30_000 });
    const asked = Array.from({ length: 40 }, (_, n) =>
      sql.query<{ pid: number; n: number }>(q`select pg_backend_pid() as pid, ${n}::int as n from pg_sleep(0.01)`),
    );
    expect(sql.servers[0]).toMatchObject({ connections: 8, running: 8, waiting: 32 });
    const answers = (await Promise.all(asked)).flat();
    expect(answers.map(({ n }) => n)).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(new Set(answers.map(({ pid }) => pid)).size).toBeLessThanOrEqual(2);
    await sql.close();
  });

  test("a client still sees what it wrote, from a replica once that has it", async () => {
    const server = await sharedPostgres();
    const replica = await startReplica(server);
    const before = await startPgBouncer(replica);
    const sql = open({ replicaUrls: [before.url(url.replace(`:${server.port}/`, `:${replica.port}/`))] });
    try {
      await eventually(() => sql.servers[1]?.replica?.isIn);
      await sql.query(q`create table seen (n int)`);
      const reader = new Reader({ key: "ada" });
      for (let n = 1; n <= 50; n++) {
        await sql.query(q`insert into seen values (${n})`, reader);
        expect(await sql.read(q`select max(n) as n from seen`, reader)).toEqual([{ n }]);
      }
      await eventually(async () => {
        const [row] = await sql.read<{ port: number }>(q`select inet_server_port() as port`, reader);
        return row!.port === replica.port;
      });
    } finally {
      await sql.close();
      await before.stop();
      await replica.remove();
    }
  });
});
