/** A primary that dies and a standby that takes its place: nothing acknowledged is lost, nothing is done twice, and doubt is said. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { urlsOf } from "../../src/std/host_list.ts";
import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { type PostgresCluster, type Replica, startSynchronousPair } from "../harness/postgres.ts";

setDefaultTimeout(60_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

const codeOf = (error: unknown): string => (error as { code: string }).code;

interface Pair extends AsyncDisposable {
  readonly primary: PostgresCluster;
  readonly standby: Replica;
  readonly sql: Sql;
}

/** A primary that commits only what its standby has, and a store that knows both by one URL. */
async function pair(): Promise<Pair> {
  const { primary, standby, url } = await startSynchronousPair();
  const sql = openSql(url, { applicationName: "scale-test", poolMax: 4, statementTimeout: 5_000 });
  return {
    primary,
    standby,
    sql,
    [Symbol.asyncDispose]: async () => {
      await sql.close();
      await standby.remove();
      await primary.remove();
    },
  };
}

describe("a primary that is killed under writers", () => {
  test("loses nothing acknowledged, doubles nothing, reports what is unknown, and writes go on within two seconds of the promotion", async () => {
    await using servers = await pair();
    const { sql, primary, standby } = servers;
    await sql.query(q`create table entries (id text primary key, times int not null)`);
    const acknowledged = new Set<string>();
    const unknown = new Set<string>();
    const refused = new Set<string>();
    let stopped = false;
    let acknowledgedAt = 0;
    const write = async (writer: number) => {
      for (let n = 0; !stopped; n++) {
        const id = `${writer}-${n}`;
        const insert = q`insert into entries values (${id}, 1) on conflict (id) do update set times = entries.times + 1`;
        try {
          await (writer % 2 === 0 ? sql.query(insert) : sql.tx((tx) => tx.query(insert)));
          acknowledged.add(id);
          acknowledgedAt = performance.now();
        } catch (error) {
          (codeOf(error) === "outcome_unknown" ? unknown : refused).add(id);
          expect(["outcome_unknown", "store_unavailable"]).toContain(codeOf(error));
          await Bun.sleep(5);
        }
      }
    };
    const writers = Array.from({ length: 6 }, (_, index) => write(index));
    await eventually(() => acknowledged.size > 200);
    process.kill(primary.pid(), "SIGKILL");
    await eventually(() => refused.size > 0);
    await standby.promote();
    const promotedAt = performance.now();
    await eventually(() => acknowledgedAt > promotedAt, { what: "a write after the promotion" });
    expect(acknowledgedAt - promotedAt).toBeLessThan(2_000);
    const before = acknowledged.size;
    await eventually(() => acknowledged.size > before + 100);
    stopped = true;
    await Promise.all(writers);

    const rows = await sql.query<{ id: string; times: number }>(q`select id, times from entries`);
    const found = new Map(rows.map(({ id, times }) => [id, times]));
    expect([...acknowledged].filter((id) => !found.has(id))).toEqual([]);
    expect([...found].filter(([, times]) => times !== 1)).toEqual([]);
    expect([...refused].filter((id) => found.has(id))).toEqual([]);
    // Writers were in flight when it died: a driver that never doubts would be lying.
    expect(unknown.size).toBeGreaterThan(0);
  });

  test("reads are answered by the server that takes its place", async () => {
    await using servers = await pair();
    const { sql, primary, standby } = servers;
    expect(await sql.read(q`select inet_server_port() as port`)).toEqual([{ port: primary.port }]);
    process.kill(primary.pid(), "SIGKILL");
    await standby.promote();
    await eventually(async () => {
      const [row] = await sql.read<{ port: number }>(q`select inet_server_port() as port`).catch(() => [undefined]);
      return row?.port === standby.port;
    });
  });
});

describe("several hosts in a URL", () => {
  test("the primary is found wherever it stands, also past a server that does not answer", async () => {
    await using servers = await pair();
    const { primary, standby } = servers;
    for (const hosts of [
      `127.0.0.1:${standby.port},127.0.0.1:${primary.port}`,
      `127.0.0.1:1,127.0.0.1:${primary.port}`,
    ]) {
      const url = primary.url.replace(`127.0.0.1:${primary.port}`, hosts);
      const sql = openSql(url, { applicationName: "t", poolMax: 2, statementTimeout: 5_000 });
      expect(await sql.query(q`select inet_server_port() as port`)).toEqual([{ port: primary.port }]);
      await sql.close();
    }
  });

  test("with none that takes writes the error says so, and names no password", async () => {
    await using servers = await pair();
    const { primary, standby } = servers;
    const url = primary.url.replace(`127.0.0.1:${primary.port}`, `127.0.0.1:${standby.port},127.0.0.1:1`);
    const sql = openSql(url, { applicationName: "t", poolMax: 2, statementTimeout: 5_000 });
    const error = await sql.query(q`select 1`).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store_unavailable" });
    expect(String(error)).not.toContain("harness@");
    await sql.close();
  });

  test.each([
    ["postgres://u:p@a:1,b:2/d?x=y", ["postgres://u:p@a:1/d?x=y", "postgres://u:p@b:2/d?x=y"]],
    ["postgres://a/d", ["postgres://a/d"]],
    ["postgres://u:p,q@a/d", ["postgres://u:p,q@a/d"]],
  ])("%s is one URL for each", (url, expected) => {
    expect(urlsOf(url)).toEqual(expected);
  });
});
