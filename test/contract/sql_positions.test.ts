/** What reading one's own writes costs and never gives up: the primary's position under load, a client that is moved, a primary that serves alone. */
import { afterAll, beforeAll, expect, setDefaultTimeout, setSystemTime, test } from "bun:test";

import { Consistency, tokenSeconds } from "../../src/runtime/consistency.ts";
import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { Reader } from "../../src/store/sql/reader.ts";
import { openSql, type Sql, type SqlOptions } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { type PostgresCluster, type Replica, startPostgres, startReplica } from "../harness/postgres.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);
const nowhere = "postgres://nobody@127.0.0.1:1/none";

let primary: PostgresCluster;
let replica: Replica;
let admin: Sql;
beforeAll(async () => {
  primary = await startPostgres({ shared_preload_libraries: "pg_stat_statements", "pg_stat_statements.track": "all" });
  replica = await startReplica(primary);
  admin = openSql(primary.url, { applicationName: "admin", poolMax: 2, statementTimeout: 0 });
  await admin.session((session) =>
    session.script("create extension pg_stat_statements; create table rows (id int primary key, n int not null)"),
  );
});
afterAll(async () => {
  await admin.close();
  await replica.remove();
  await primary.remove();
});

function opened(options: Partial<SqlOptions> = {}): Sql & AsyncDisposable {
  const sql = openSql(primary.url, {
    applicationName: "scale-test",
    poolMax: 4,
    statementTimeout: 10_000,
    replicaUrls: [replica.url],
    ...options,
  });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.close() });
}

/** How often the primary was asked for its position. */
async function asked(): Promise<number> {
  const text = "%pg_current_wal_insert_lsn() as lsn%";
  const [row] = await admin.query<{ calls: number }>(
    q`select coalesce(sum(calls), 0)::int as calls from pg_stat_statements where query like ${text} and query not like '%pg_stat_statements%'`,
  );
  return row!.calls;
}

async function serverOf(sql: Sql, reader: Reader): Promise<number> {
  const [row] = await sql.read<{ port: number }>(q`select inet_server_port() as port`, reader);
  return row!.port;
}

/** Runs `body` while the replica that `sql` reads from stays where it is, until it is resumed. */
async function whileBehind(sql: Sql, body: (resume: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const direct = openSql(replica.url, { applicationName: "direct", poolMax: 1, statementTimeout: 0 });
  const resume = () => direct.query(q`select pg_wal_replay_resume()`);
  await eventually(async () => (await serverOf(sql, new Reader())) === replica.port);
  await direct.query(q`select pg_wal_replay_pause()`);
  try {
    await body(resume);
  } finally {
    await resume();
    await direct.close();
  }
}

test("the primary is asked for its position once for each write alone, and once for many writes under load", async () => {
  await using sql = opened();
  await sql.query(q`insert into rows values (0, 0)`);
  const write = async (n: number) => {
    const reader = new Reader();
    await sql.query(q`update rows set n = ${n} where id = 0`, reader);
    await reader.settled();
    expect(reader.floor?.lsn).toBeGreaterThan(0n);
  };
  const before = await asked();
  for (let n = 0; n < 20; n++) await write(n);
  const alone = await asked();
  expect(alone - before).toBe(20);
  await Promise.all(Array.from({ length: 400 }, (_, n) => write(n)));
  const shared = (await asked()) - alone;
  expect(shared).toBeGreaterThan(0);
  expect(shared).toBeLessThan(200);
});

test("a client that is moved to another replica reads from the primary until that has passed where the primary was then", async () => {
  await using sql = opened();
  await whileBehind(sql, async (resume) => {
    // Others write; this client has seen it on the replica it was on, and has nothing to show for it but that.
    await admin.query(q`insert into rows values (1, 1)`);
    const moved = new Reader({ key: "ada", pin: "the one before" });
    expect(await sql.read(q`select n from rows where id = 1`, moved)).toEqual([{ n: 1 }]);
    expect(await serverOf(sql, moved)).toBe(primary.port);
    // Who was never elsewhere has nothing to wait for.
    expect(await serverOf(sql, new Reader({ key: "ada" }))).toBe(replica.port);
    await resume();
    await eventually(async () => (await serverOf(sql, moved)) === replica.port);
  });
});

test("what a client has written binds its reads until its token is over", async () => {
  await using sql = opened();
  await whileBehind(sql, async () => {
    const writing = new Consistency(undefined, true);
    await sql.query(q`insert into rows values (2, 0)`, writing.reader(sql));
    const token = await writing.token();
    const reading = () => serverOf(sql, new Consistency(token, true).reader(sql));
    expect(await reading()).toBe(primary.port);
    setSystemTime(Date.now() + (tokenSeconds - 2) * 1_000);
    expect(await reading()).toBe(primary.port);
    setSystemTime(Date.now() + 3_000);
    expect(await reading()).toBe(replica.port);
  }).finally(() => setSystemTime());
});

test("reads that no replica may serve take at most half the pool's connections to the primary besides, and writes find theirs", async () => {
  await using sql = opened({ replicaUrls: [nowhere], pipelineMax: 1 });
  const before = performance.now();
  const reads = Promise.all(Array.from({ length: 12 }, () => sql.read(q`select pg_sleep(0.4)::text as slept`)));
  const mostAtOnce = async () => {
    let most = 0;
    for (let isOver = false; !isOver;) {
      isOver = await Promise.race([reads.then(() => true), Bun.sleep(20).then(() => false)]);
      const [row] = await admin.query<{ count: number }>(
        q`select count(*)::int as count from pg_stat_activity where state = 'active' and query like '%pg_sleep(0.4)%' and pid <> pg_backend_pid()`,
      );
      most = Math.max(most, row!.count);
    }
    return most;
  };
  const most = mostAtOnce();
  await sql.query(q`update rows set n = 2`);
  const hasWritten = performance.now();
  expect(await most).toBe(2);
  // Twelve reads of 0.4 s, two at a time.
  expect(performance.now() - before).toBeGreaterThan(2_300);
  expect(hasWritten).toBeLessThan(performance.now() - 400);
});

test("a COMMIT that may have happened is told as such, and run again only for who says that it does no harm", async () => {
  const setting = (standbys: string) =>
    admin.session((session) =>
      session
        .script(`alter system set synchronous_standby_names = '${standbys}'`)
        .then(() => session.script("select pg_reload_conf()")),
    );
  const waiting = q`select pid from pg_stat_activity where wait_event = 'SyncRep'`;
  await using sql = opened({ replicaUrls: [] });
  await setting("nobody");
  try {
    for (const idempotent of [false, true]) {
      let runs = 0;
      let isOver = false;
      const committed = () => {
        runs = 0;
        isOver = false;
        const done = sql.tx(
          async (tx) => {
            runs++;
            await tx.query(q`set local synchronous_commit = on`);
            await tx.query(q`insert into rows values (7, 0) on conflict (id) do update set n = rows.n + 1`);
            return "committed";
          },
          { idempotent },
        );
        return done.catch((error: unknown) => error).finally(() => (isOver = true));
      };
      let outcome = committed();
      await eventually(async () => {
        if ((await admin.query(waiting)).length > 0) return true;
        // It was not held: the process of the server that heeds the setting had not read it yet.
        if (isOver) outcome = committed();
        return false;
      });
      if (idempotent) await setting("");
      await admin.query(q`select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`);
      if (idempotent) expect(await outcome).toBe("committed");
      else
        expect(await outcome).toMatchObject({ code: "outcome_unknown", hint: expect.stringContaining("idempotent") });
      // A server that reads its setting before it is ended commits, and says so.
      if (!idempotent) expect(runs).toBe(1);
    }
  } finally {
    await setting("");
  }
  // It had taken effect, each time.
  expect(await admin.query(q`select id from rows where id = 7`)).toEqual([{ id: 7 }]);
});
