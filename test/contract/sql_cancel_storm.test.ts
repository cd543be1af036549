/**
 * Owners that leave at any moment, by the hundred, beside others that stay and use the same connections: none of those is ever cancelled, or
 * given what belongs to another, and nothing is left behind. Directly, over TLS, and through a PgBouncer in transaction mode.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import type { Sql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { Leaver } from "../harness/leaver.ts";
import { startPgBouncer } from "../harness/pgbouncer.ts";
import { sharedPostgres, startTlsPostgres } from "../harness/postgres.ts";
import { seeded } from "../harness/seeded.ts";
import { opener } from "./sql_contract.ts";

setDefaultTimeout(120_000);

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);

const rounds = 500;
const lanes = 10;
const neighbours = 4;
const poolMax = 8;

interface Way {
  readonly url: string;
  /** Past whatever lies between. */
  readonly direct: string;
  close(): Promise<void>;
}

const ways: { readonly [name: string]: () => Promise<Way> } = {
  directly: async () => {
    const url = await (await sharedPostgres()).createDatabase();
    return { url, direct: url, close: () => Promise.resolve() };
  },
  "over TLS": async () => {
    const server = await startTlsPostgres();
    const url = `${await server.createDatabase()}?sslmode=require`;
    return { url, direct: url, close: () => server.remove() };
  },
  "through a PgBouncer": async () => {
    const server = await sharedPostgres();
    const direct = await server.createDatabase();
    const bouncer = await startPgBouncer(server, { default_pool_size: "4" });
    return { url: bouncer.url(direct), direct, close: () => bouncer.stop() };
  },
};

describe.each(Object.entries(ways))("%s", (_, start) => {
  let way: Way;
  let sql: Sql;
  let watcher: Sql;
  beforeAll(async () => {
    way = await start();
    const options = { poolMax, statementTimeout: 30_000, waitTimeout: 60_000 };
    sql = opener(() => way.url)({ ...options, applicationName: "storm" });
    watcher = opener(() => way.direct)({ poolMax: 1, applicationName: "watcher" });
    await watcher.session((session) => session.script("create table marks (n int)"));
  });
  afterAll(async () => {
    await Promise.all([sql.close(), watcher.close()]);
    await way.close();
  });

  test(`${rounds} of them leave, and nobody else notices`, async () => {
    const random = seeded(20);
    const committed: number[] = [];
    let left = rounds;

    /** One that may leave before its answer, and marks what it believes to have committed. */
    const leave = async (n: number): Promise<void> => {
      const owner = new Leaver();
      const sleep = q`select pg_sleep(${0.05 + random() * 0.1})`;
      const work =
        n % 2 === 0
          ? sql.read(sleep, undefined, owner)
          : sql.tx(
              async (tx) => {
                await tx.query(q`insert into marks values (${n})`);
                await tx.query(sleep);
              },
              {},
              undefined,
              owner,
            );
      const timer = setTimeout(() => owner.leave(), random() * 100);
      const failure = await work.then(
        () => void (n % 2 === 1 && committed.push(n)),
        (error: unknown) => error,
      );
      clearTimeout(timer);
      if (failure !== undefined) expect(failure).toBe(owner.left!);
    };
    const leaving = async () => {
      while (left > 0) await leave(left--);
    };

    let served = 0;
    /** One that stays: any error of it fails the test. */
    const staying = async () => {
      while (left > 0) {
        const n = ++served;
        const owner = new Leaver();
        if (n % 3 > 0) expect(await sql.read(q`select ${n}::int as n`, undefined, owner)).toEqual([{ n }]);
        else {
          const sum = await sql.tx(
            async (tx) => {
              await tx.query(q`select pg_sleep(0.002)`);
              return tx.query(q`select ${n}::int + 1 as n`);
            },
            {},
            undefined,
            owner,
          );
          expect(sum).toEqual([{ n: n + 1 }]);
        }
      }
    };
    await Promise.all([...Array.from({ length: lanes }, leaving), ...Array.from({ length: neighbours }, staying)]);

    const { abandoned } = sql.servers[0]!.timings;
    expect(abandoned.cancelled).toBeGreaterThan(50);
    expect(served).toBeGreaterThan(neighbours);
    const marks = await watcher.query<{ n: number }>(q`select n from marks order by n`);
    expect(marks.map(({ n }) => n)).toEqual(committed.toSorted((a, b) => a - b));
    expect(sql.servers[0]).toMatchObject({ running: 0, waiting: 0 });
    expect(sql.servers[0]!.connections).toBeLessThanOrEqual(poolMax);
    const busy = q`select query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`;
    await eventually(async () => (await watcher.query(busy)).length === 0);
  });
});
