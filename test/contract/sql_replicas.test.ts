/** A primary and its standbys: who is read from, and that nobody sees less than they must. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { Reader } from "../../src/store/sql/reader.ts";
import { openSql, type Sql, type SqlOptions } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { type PostgresCluster, type Replica, startPostgres, startReplica } from "../harness/postgres.ts";
import { freeze } from "../harness/proc.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

let primary: PostgresCluster;
let replicas: Replica[] = [];
beforeAll(async () => {
  primary = await startPostgres();
  replicas = await Promise.all([startReplica(primary), startReplica(primary)]);
});
afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.remove()));
  await primary.remove();
});

/** A database on the shared servers that is closed with the test. */
async function opened(options: Partial<SqlOptions> = {}): Promise<Sql & AsyncDisposable> {
  const replicaUrls = replicas.map(({ url }) => url);
  const sql = openSql(primary.url, {
    applicationName: "scale-test",
    poolMax: 4,
    statementTimeout: 10_000,
    replicaUrls,
    ...options,
  });
  await eventually(async () => new Set(await servers(sql, 20)).size === (options.replicaUrls ?? replicaUrls).length, {
    what: "every replica being read from",
  });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.close() });
}

/** Ports that `count` reads were answered by. */
function servers(sql: Sql, count: number, reader?: Reader): Promise<number[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const [row] = await sql.read<{ port: number }>(q`select inet_server_port() as port`, reader);
      return row!.port;
    }),
  );
}

describe("reads", () => {
  test("are spread over the replicas, and none reaches the primary", async () => {
    await using sql = await opened();
    const counts = Map.groupBy(await servers(sql, 200), (port) => port);
    expect(new Set(counts.keys())).toEqual(new Set(replicas.map(({ port }) => port)));
    for (const ports of counts.values()) expect(ports.length).toBeGreaterThan(40);
  });

  test("of one key stay on one replica", async () => {
    await using sql = await opened();
    expect(new Set(await servers(sql, 20, new Reader({ key: "ada" }))).size).toBe(1);
  });

  test("json is built on a replica too", async () => {
    await using sql = await opened();
    const [{ port }] = JSON.parse(new TextDecoder().decode(await sql.readJson(q`select inet_server_port() as port`)));
    expect(port).not.toBe(primary.port);
  });

  test("of a writer show what was written, at once and always, while others write too", async () => {
    await using sql = await opened();
    await sql.query(q`create table counters (id int primary key, n int not null)`);
    const client = async (id: number) => {
      await sql.query(q`insert into counters values (${id}, 0)`);
      for (let n = 1; n <= 40; n++) {
        const reader = new Reader({ key: `client ${id}` });
        if (n % 2 === 0) await sql.query(q`update counters set n = ${n} where id = ${id}`, reader);
        else await sql.tx((tx) => tx.query(q`update counters set n = ${n} where id = ${id}`), {}, reader);
        expect(await sql.read(q`select n from counters where id = ${id}`, reader)).toEqual([{ n }]);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, id) => client(id)));
    await sql.query(q`drop table counters`);
  });

  test("of a writer come back to a replica once it has caught up", async () => {
    await using sql = await opened();
    const reader = new Reader({ key: "bob" });
    await sql.query(q`select 1`, reader);
    await eventually(async () => (await servers(sql, 1, reader))[0] !== primary.port);
  });

  test("with a floor of another timeline are the primary's", async () => {
    await using sql = await opened();
    const reader = new Reader({ floor: { timeline: 99, lsn: 1n } });
    expect(await servers(sql, 5, reader)).toEqual(Array.from({ length: 5 }, () => primary.port));
  });
});

describe("a replica that", () => {
  test("stops answering costs nobody an error, and serves again when it answers", async () => {
    await using sql = await opened();
    const [paused] = replicas;
    const thaw = freeze(paused!.pid());
    try {
      const answers = await servers(sql, 50);
      expect(answers).toHaveLength(50);
      await eventually(async () => !(await servers(sql, 20)).includes(paused!.port), {
        what: "the replica being left alone",
      });
    } finally {
      thaw();
    }
    await eventually(async () => (await servers(sql, 20)).includes(paused!.port), {
      what: "the replica being read again",
    });
  });

  test("replays nothing serves no writer, and is left once it is behind by more than the limit", async () => {
    await using sql = await opened({ lagMax: 500 });
    await using only = await opened({ replicaUrls: [replicas[0]!.url], lagMax: 500 });
    const direct = openSql(replicas[0]!.url, { applicationName: "direct", poolMax: 1, statementTimeout: 0 });
    await sql.query(q`create table if not exists ticks (n int)`);
    await direct.query(q`select pg_wal_replay_pause()`);
    try {
      const reader = new Reader({ key: "writer" });
      await only.query(q`insert into ticks values (1)`, reader);
      expect(await servers(only, 3, reader)).toEqual([primary.port, primary.port, primary.port]);
      await eventually(
        async () => {
          await only.query(q`insert into ticks values (2)`);
          return !(await servers(sql, 20)).includes(replicas[0]!.port);
        },
        { what: "the replica being left" },
      );
      await eventually(async () => (await servers(only, 5)).every((port) => port === primary.port), {
        what: "the primary serving once every replica is out",
      });
    } finally {
      await direct.query(q`select pg_wal_replay_resume()`);
      await direct.close();
    }
    await eventually(async () => (await servers(sql, 20)).includes(replicas[0]!.port), {
      what: "the replica being read again",
    });
  });

  test("is killed is replaced by another under the statement", async () => {
    const third = await startReplica(primary);
    const urls = [...replicas.map(({ url }) => url), third.url];
    await using sql = await opened({ replicaUrls: urls });
    const reads = servers(sql, 300);
    process.kill(third.pid(), "SIGKILL");
    expect(await reads).toHaveLength(300);
    await third.remove();
  });
});

describe.each([
  ["sees its receiver", "postgres:harness"],
  ["may not see its receiver", "plain:harness"],
])("a replica whose user %s", (_, user) => {
  const replicaUrls = () => replicas.map(({ url }) => url.replace("postgres:harness", user));
  beforeAll(async () => {
    const sql = openSql(primary.url, { applicationName: "direct", poolMax: 1, statementTimeout: 0 });
    await sql.session((session) =>
      session.script("drop role if exists plain; create role plain login password 'harness'"),
    );
    await sql.close();
  });

  test("is left once its sender hangs and the primary goes on, and read again after", async () => {
    await using sql = await opened({ replicaUrls: replicaUrls(), lagMax: 1_000 });
    await sql.query(q`create table if not exists ticks (n int)`);
    const senders = await sql.query<{ pid: number }>(q`select pid from pg_stat_replication`);
    expect(senders).toHaveLength(replicas.length);
    for (const { pid } of senders) process.kill(pid, "SIGSTOP");
    try {
      await sql.query(q`insert into ticks values (1)`);
      await eventually(async () => (await servers(sql, 10)).every((port) => port === primary.port), {
        what: "both replicas being left",
        // Its receiver gives up by itself only after 60 s.
        timeout: 20_000,
      });
    } finally {
      for (const { pid } of senders) process.kill(pid, "SIGCONT");
    }
    await eventually(async () => !(await servers(sql, 10)).includes(primary.port), {
      what: "the replicas being read again",
    });
  });

  test("stays in for longer than the limit of lag while the primary has nothing to send", async () => {
    await using sql = await opened({ replicaUrls: replicaUrls(), lagMax: 2_000 });
    // Longer than the limit, and shorter than the half minute after which a receiver itself asks for a word.
    await Bun.sleep(5_000);
    await eventually(() => sql.servers.slice(1).every(({ replica }) => replica?.isIn), {
      what: "both replicas being read from",
    });
  });
});

test("a read that a replica cancels for what it replays is answered by the primary", async () => {
  const hasty = await startReplica(primary, { max_standby_streaming_delay: "0" });
  try {
    await using sql = await opened({ replicaUrls: [hasty.url] });
    await sql.query(q`create table kept (n int)`);
    const writer = new Reader({ key: "carol" });
    await sql.query(q`insert into kept values (1)`, writer);
    await eventually(async () => (await servers(sql, 1, writer))[0] === hasty.port);
    const read = sql.read(q`select n, inet_server_port() as port, pg_sleep(2)::text as slept from kept`, writer);
    const replica = openSql(hasty.url, { applicationName: "direct", poolMax: 1, statementTimeout: 0 });
    await eventually(async () => {
      const running = q`select from pg_stat_activity where query like '%from kept%' and pid <> pg_backend_pid()`;
      return (await replica.query(running)).length > 0;
    });
    await replica.close();
    // Replaying its lock ends every read of the table.
    await sql.query(q`alter table kept add column more int`);
    expect(await read).toEqual([{ n: 1, port: primary.port, slept: "" }]);
    await sql.query(q`drop table kept`);
  } finally {
    await hasty.remove();
  }
});
