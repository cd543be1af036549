/** A statement whose owner has left: what runs alone on its connection is cancelled at the server, and nobody else ever hears of it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import type { Owner, Sql, SqlOptions } from "../../src/store/sql/sql.ts";
import { startCancelRelay } from "../harness/cancel_relay.ts";
import { startEmbedded } from "../harness/embedded.ts";
import { eventually } from "../harness/eventually.ts";
import { Leaver } from "../harness/leaver.ts";
import { type PostgresCluster, sharedPostgres } from "../harness/postgres.ts";
import { freeze } from "../harness/proc.ts";
import { opener } from "./sql_contract.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

let server: PostgresCluster;
let url = "";
let watcher: Sql;
beforeAll(async () => {
  server = await sharedPostgres();
  url = await server.createDatabase();
  watcher = opener(() => url)({ applicationName: "watcher", poolMax: 1 });
});
afterAll(() => watcher.close());

const open = (options: Partial<SqlOptions> = {}) => opener(() => url)({ statementTimeout: 30_000, ...options });
const abandoned = (sql: Sql) => sql.servers[0]!.timings.abandoned;
/** Statements that a session of the store runs at the server. */
const active = async (text: string) => {
  const found = q`select from pg_stat_activity where state = 'active' and application_name = 'scale-test' and query like ${`%${text}%`}`;
  return (await watcher.query(found)).length;
};

/** What may be asked of the store on behalf of somebody. */
const asked: { readonly [what: string]: (sql: Sql, owner: Owner, mark: string) => Promise<unknown> } = {
  "a read": (sql, owner, mark) => sql.read(q`select pg_sleep(30), ${mark}::text`, undefined, owner),
  "a read of JSON": (sql, owner, mark) => sql.readJson(q`select pg_sleep(30)::text, ${mark}::text`, undefined, owner),
  "a write": (sql, owner, mark) => sql.query(q`insert into kept select ${mark} from pg_sleep(30)`, undefined, owner),
  "a transaction": (sql, owner, mark) =>
    sql.tx(
      async (tx) => {
        await tx.query(q`insert into kept values (${mark})`);
        await tx.query(q`select pg_sleep(30)`);
      },
      {},
      undefined,
      owner,
    ),
};

describe("alone on its connection", () => {
  let sql: Sql;
  beforeAll(async () => {
    sql = open({ poolMax: 1 });
    await sql.session((session) => session.script("create table kept (mark text)"));
  });
  afterAll(() => sql.close());

  test.each(Object.entries(asked))("%s is cancelled at the server within a second", async (what, ask) => {
    const owner = new Leaver();
    const before = abandoned(sql).cancelled;
    const result = ask(sql, owner, what).catch((error: unknown) => error);
    await eventually(async () => (await active("pg_sleep")) === 1);
    owner.leave();
    await eventually(async () => (await active("pg_sleep")) === 0, { timeout: 1_000 });
    expect(await result).toBe(owner.left!);
    expect(abandoned(sql).cancelled).toBe(before + 1);
    // The same connection, and nothing of it is left on it.
    expect(await sql.query(q`select mark from kept`)).toEqual([]);
    expect(sql.servers[0]).toMatchObject({ connections: 1, running: 0, waiting: 0 });
  });

  test("a statement of somebody who stays is never cancelled, however long it takes", async () => {
    expect(await sql.query(q`select 1 as one from pg_sleep(0.5)`, undefined, new Leaver())).toEqual([{ one: 1 }]);
  });

  test("a COMMIT under way goes through, and its caller is told so", async () => {
    await sql.session((session) =>
      session.script(`create table slow (n int); create function wait() returns trigger language plpgsql as
        'begin perform pg_sleep(0.5); return null; end';
        create constraint trigger wait after insert on slow deferrable initially deferred for each row execute function wait()`),
    );
    const owner = new Leaver();
    const committed = sql.tx((tx) => tx.query(q`insert into slow values (1)`), {}, undefined, owner);
    await eventually(async () => (await active("commit")) === 1);
    owner.leave();
    await committed;
    expect(await sql.query(q`select n from slow`)).toEqual([{ n: 1 }]);
  });
});

describe("beside others on its connection", () => {
  test("nothing is sent: its result is dropped, and theirs are right", async () => {
    const sql = open({ poolMax: 1 });
    await sql.query(q`select 1`);
    const owner = new Leaver();
    const { dropped, cancelled } = abandoned(sql);
    const slow = sql.query(q`select pg_sleep(0.5)`, undefined, owner).catch((error: unknown) => error);
    const neighbours = [1, 2, 3].map((n) => sql.query(q`select ${n}::int as n`, undefined, new Leaver()));
    owner.leave();
    expect(await slow).toBe(owner.left!);
    expect((await Promise.all(neighbours)).flat()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(abandoned(sql)).toMatchObject({ dropped: dropped + 1, cancelled });
    await sql.close();
  });

  test("all of them are cancelled where all of their owners have left", async () => {
    const sql = open({ poolMax: 1 });
    await sql.query(q`select 1`);
    const owners = [1, 2, 3].map(() => new Leaver());
    const results = owners.map((owner) =>
      sql.query(q`select pg_sleep(20)`, undefined, owner).catch((error: unknown) => error),
    );
    await eventually(async () => (await active("pg_sleep(20)")) === 1);
    for (const owner of owners) owner.leave();
    expect(await Promise.all(results)).toEqual(owners.map(({ left }) => left));
    expect(await sql.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    await sql.close();
  });
});

test("what waits for a connection leaves the queue, and those behind it move up", async () => {
  const sql = open({ poolMax: 1 });
  const [first, second] = [new Leaver(), new Leaver()];
  let behind: Promise<unknown> = Promise.resolve();
  await sql.tx(async (tx) => {
    const waiting = [
      sql.tx((other) => other.query(q`select 1`), {}, undefined, first),
      sql.query(q`select 1`, undefined, second),
    ];
    behind = sql.query(q`select 2 as two`, undefined, new Leaver());
    first.leave();
    second.leave();
    expect(await Promise.allSettled(waiting)).toMatchObject([{ reason: first.left }, { reason: second.left }]);
    expect(sql.servers[0]).toMatchObject({ running: 1, waiting: 1 });
    await tx.query(q`select 1`);
  });
  expect(await behind).toEqual([{ two: 2 }]);
  expect(abandoned(sql)).toEqual({ unsent: 2, dropped: 0, cancelled: 0, closed: 0 });
  await sql.close();
});

describe("the way of a cancellation", () => {
  test("where it cannot be known whether one arrived, the connection is closed; few are on their way at once", async () => {
    await using relay = await startCancelRelay(server.port);
    const sql = opener(() => relay.url(url))({ poolMax: 8, statementTimeout: 30_000 });
    relay.fate = "lost";
    const owners = Array.from({ length: 8 }, () => new Leaver());
    const results = owners.map((owner) =>
      sql.query(q`select pg_sleep(25)`, undefined, owner).catch((error: unknown) => error),
    );
    await eventually(async () => (await active("pg_sleep(25)")) === 8);
    for (const owner of owners) owner.leave();
    expect(await Promise.all(results)).toEqual(owners.map(({ left }) => left));
    expect([relay.requests, relay.openMax]).toEqual([8, 4]);
    expect(abandoned(sql)).toEqual({ unsent: 0, dropped: 0, cancelled: 0, closed: 8 });
    expect(sql.servers[0]).toMatchObject({ connections: 0, running: 0 });
    expect(await sql.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    await sql.close();
    await watcher.query(
      q`select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(25)%'`,
    );
  });

  test("nothing else is sent on the connection before it is over, though the statement has ended", async () => {
    await using relay = await startCancelRelay(server.port);
    const sql = opener(() => relay.url(url))({ poolMax: 1 });
    const [{ pid } = { pid: 0 }] = await sql.query<{ pid: number }>(q`select pg_backend_pid() as pid`);
    relay.fate = "late";
    const owner = new Leaver();
    const result = sql.query(q`select pg_sleep(25)`, undefined, owner).catch((error: unknown) => error);
    await eventually(async () => (await active("pg_sleep(25)")) === 1);
    owner.leave();
    await eventually(async () => (await active("pg_sleep(25)")) === 0);
    const next = sql.query(q`select pg_backend_pid() as pid`);
    await watcher.query(q`select pg_sleep(0.2)`);
    expect(sql.servers[0]).toMatchObject({ connections: 1, running: 1, waiting: 1 });
    relay.release();
    expect(await result).toBe(owner.left!);
    expect(await next).toEqual([{ pid }]);
    await sql.close();
  });

  test("a server that hangs keeps its connection for two seconds, and answers nobody later", async () => {
    const sql = open({ poolMax: 1 });
    const [backend] = await sql.query<{ pid: number }>(q`select pg_backend_pid() as pid`);
    const thaw = freeze(backend!.pid);
    const owner = new Leaver();
    const result = sql.query(q`select 1`, undefined, owner).catch((error: unknown) => error);
    owner.leave();
    expect(await result).toBe(owner.left!);
    thaw();
    expect(abandoned(sql)).toMatchObject({ closed: 1 });
    const [other] = await sql.query<{ pid: number }>(q`select pg_backend_pid() as pid`);
    expect(other!.pid).not.toBe(backend!.pid);
    await sql.close();
  });
});

test("the embedded database knows no cancelling: the result is dropped, and its connection goes on", async () => {
  const embedded = await startEmbedded();
  const sql = opener(() => embedded.url)({ poolMax: 1, statementTimeout: 30_000 });
  const owner = new Leaver();
  const result = sql
    .query(q`select count(*) from generate_series(1, 3000000)`, undefined, owner)
    .catch((error: unknown) => error);
  owner.leave();
  expect(await result).toBe(owner.left!);
  expect(abandoned(sql)).toMatchObject({ dropped: 1, cancelled: 0, closed: 0 });
  expect(await sql.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
  expect(sql.servers[0]).toMatchObject({ connections: 1 });
  await sql.close();
  await embedded.remove();
});
