/**
 * What every driver of the relational store promises. Run on PostgreSQL by sql_postgres.test.ts, through a PgBouncer by sql_pgbouncer.test.ts,
 * on the embedded one by sql_embedded.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";

import { statementOf, type Value } from "../../src/runtime/statement.ts";
import { SqlError } from "../../src/store/sql/errors.ts";
import { openSql, type Sql, type SqlOptions } from "../../src/store/sql/sql.ts";

const q = (strings: TemplateStringsArray, ...values: readonly Value[]) => statementOf("test", strings, values);
const utf8 = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Opens a store on the database under test; the suite closes it. */
export type Open = (options?: Partial<SqlOptions>) => Sql;

export function opener(url: () => string): Open {
  return (options = {}) =>
    openSql(url(), { applicationName: "scale-test", poolMax: 4, statementTimeout: 10_000, ...options });
}

/** Runs a script on the database under test, before a test. */
type Prepare = (script: string) => Promise<void>;

/** `direct` opens the same database where it has sessions, if `open` does not. */
export function sqlContract(driver: string, open: Open, direct: Open = open): void {
  describe(`sql on ${driver}`, () => {
    let sql: Sql;
    let owner: Sql;
    const prepare = (script: string) => owner.session((session) => session.script(script));
    beforeAll(() => {
      sql = open();
      owner = direct === open ? sql : direct({ poolMax: 1 });
    });
    afterAll(() => Promise.all([sql.close(), owner.close()]));

    values(() => sql);
    arrays(() => sql);
    refusals(() => sql, prepare);
    transactions(() => sql, prepare);
    if (direct === open) sessions(() => sql);
    pools(open, prepare);
  });
}

function values(sql: () => Sql): void {
  test("rows are plain objects, and 64-bit integers and numerics are exact strings", async () => {
    const rows = await sql().query(q`select 9007199254740993::int8 as id, 0.1::numeric as price, 7::int4 as n`);
    expect(rows).toEqual([{ id: "9007199254740993", price: "0.1", n: 7 }]);
  });

  test("every kind of value makes the round trip", async () => {
    const at = new Date("2024-02-29T12:34:56.789Z");
    const bytes = new Uint8Array([0, 1, 92, 255]);
    const [row] = await sql().query(
      q`select ${"text"}::text as t, ${1.5}::float8 as f, ${9007199254740993n} as b, ${true} as y, ${false} as n,
               ${at} as at, ${bytes} as bytes, ${null}::text as nothing`,
    );
    expect(row).toEqual({
      t: "text",
      f: 1.5,
      b: "9007199254740993",
      y: true,
      n: false,
      at,
      bytes: Buffer.from(bytes),
      nothing: null,
    });
  });

  test("a string is taken for what the column is: boolean, date, JSON", async () => {
    const [row] = await sql().query(
      q`select ${"true"}::boolean as yes, ${"2024-02-29"}::date as day, ${'{"a":[1]}'}::jsonb as doc, ${"2024-02-29 01:02:03"}::timestamp as wall`,
    );
    expect(row).toEqual({ yes: true, day: "2024-02-29", doc: { a: [1] }, wall: "2024-02-29 01:02:03" });
  });

  test("text that looks like SQL stays text", async () => {
    const hostile = `'; drop table x; -- " \\ $1`;
    expect(await sql().query(q`select ${hostile}::text as t`)).toEqual([{ t: hostile }]);
  });

  test("json is built by PostgreSQL, and is [] without rows", async () => {
    const rows = await sql().json(q`select n, ${'é"\n'}::text as x from generate_series(1, 2) n order by n desc;`);
    expect(JSON.parse(utf8(rows))).toEqual([
      { n: 2, x: 'é"\n' },
      { n: 1, x: 'é"\n' },
    ]);
    expect(utf8(await sql().json(q`select 1 as n where false -- with a comment`))).toBe("[]");
    expect(utf8(await sql().json(q`select 1 as t`))).toBe('[{"t":1}]');
  });
}

function arrays(sql: () => Sql): void {
  test("arrays make the round trip, with nulls, quotes, commas and braces", async () => {
    const texts = ["a", null, 'say "x"', "back\\slash", "{1,2}", "", "NULL", "é,ü"];
    const [row] = await sql().query(
      q`select ${texts}::text[] as texts, ${[1, null, 3]}::int4[] as ints, ${["9007199254740993"]}::int8[] as ids,
               ${[true, false]}::bool[] as flags, ${[
                 [1, 2],
                 [3, 4],
               ]}::int4[] as grid, ${[]}::text[] as none,
               ${[new Date(0)]}::timestamptz[] as dates`,
    );
    expect(row).toEqual({
      texts,
      ints: [1, null, 3],
      ids: ["9007199254740993"],
      flags: [true, false],
      grid: [
        [1, 2],
        [3, 4],
      ],
      none: [],
      dates: [new Date(0)],
    });
  });

  test("any(array) takes a list of any length, the empty one too", async () => {
    const count = async (ids: number[]) =>
      (await sql().query(q`select count(*)::int as n from generate_series(1, 10) g where g = any(${ids})`))[0];
    expect(await count([2, 3, 99])).toEqual({ n: 2 });
    expect(await count([])).toEqual({ n: 0 });
  });
}

function refusals(sql: () => Sql, prepare: Prepare): void {
  test("a violated constraint throws its SQLSTATE and name, and never the row's values", async () => {
    await prepare("drop table if exists people; create table people (email text constraint people_email unique)");
    await sql().query(q`insert into people values (${"a@example.com"})`);
    const error = await sql()
      .query(q`insert into people values (${"a@example.com"})`)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SqlError);
    expect(error).toMatchObject({ code: "23505", constraint: "people_email", table: "people" });
    expect(String(error)).toContain("people_email");
    expect(JSON.stringify(error) + String(error)).not.toContain("a@example.com");
  });

  test("a mistake in one statement leaves the connection usable", async () => {
    await expect(sql().query(q`select no_such_column`)).rejects.toMatchObject({ code: "42703" });
    await expect(sql().query(q`select ${"x"}::int4 as n`)).rejects.toMatchObject({ code: "22P02" });
    expect(await sql().query(q`select 1 as one`)).toEqual([{ one: 1 }]);
  });

  test("two statements in one query are refused", async () => {
    await expect(sql().query(q`select 1; select 2`)).rejects.toMatchObject({ code: "42601" });
  });

  test("COPY is refused, and the pool goes on", async () => {
    await prepare("drop table if exists copied; create table copied (n int)");
    await expect(sql().query(q`copy copied from stdin`)).rejects.toThrow("COPY");
    expect(await sql().query(q`select 1 as one`)).toEqual([{ one: 1 }]);
  });

  test("a rejected query nobody awaits harms nobody", async () => {
    void sql().query(q`select 1/0 as x`);
    void sql().tx((tx) => tx.query(q`select 1/0 as x`));
    await expect(sql().query(q`select 1/0 as x`)).rejects.toMatchObject({ code: "22012" });
    await Bun.sleep(0);
  });
}

function transactions(sql: () => Sql, prepare: Prepare): void {
  const fresh = () => prepare("drop table if exists ledger; create table ledger (id int primary key, amount int)");
  const rows = () => sql().query(q`select id, amount from ledger order by id`);

  test("a transaction commits what its body did and returns its result", async () => {
    await fresh();
    const result = await sql().tx(async (tx) => {
      await tx.query(q`insert into ledger values (1, 10)`);
      expect(await tx.query(q`select amount from ledger`)).toEqual([{ amount: 10 }]);
      expect(utf8(await tx.json(q`select amount from ledger`))).toBe('[{"amount":10}]');
      return "done";
    });
    expect(result).toBe("done");
    expect(await rows()).toEqual([{ id: 1, amount: 10 }]);
  });

  test("a body that throws rolls back and passes its error on", async () => {
    await fresh();
    const mine = new Error("mine");
    const tx = sql().tx(async (t) => {
      await t.query(q`insert into ledger values (1, 10)`);
      throw mine;
    });
    await expect(tx).rejects.toBe(mine);
    expect(await rows()).toEqual([]);
  });

  test("a failed statement fails the transaction even when the body catches it or forgets to await it", async () => {
    await fresh();
    const caught = sql().tx(async (tx) => {
      await tx.query(q`insert into ledger values (1, 10)`);
      await tx.query(q`select 1/0 as x`).catch(() => undefined);
      return "fine";
    });
    await expect(caught).rejects.toMatchObject({ code: "22012" });
    const forgotten = sql().tx(async (tx) => {
      await tx.query(q`insert into ledger values (1, 10)`);
      void tx.query(q`insert into ledger values (1, 10)`);
    });
    await expect(forgotten).rejects.toMatchObject({ code: "23505" });
    expect(await rows()).toEqual([]);
  });

  test("statements of a body run in order, awaited or not, and none after its end", async () => {
    await fresh();
    let late: () => Promise<unknown> = () => Promise.resolve();
    await sql().tx(async (tx) => {
      await Promise.all(
        [1, 2, 3].map((id) => tx.query(q`insert into ledger values (${id}, (select count(*) from ledger))`)),
      );
      late = () => tx.query(q`insert into ledger values (9, 9)`);
    });
    await expect(late()).rejects.toMatchObject({ name: "ScaleError" });
    expect(await rows()).toEqual([1, 2, 3].map((id) => ({ id, amount: id - 1 })));
  });

  test("PostgreSQL's request to try again runs the body again, up to the attempts allowed", async () => {
    await fresh();
    let runs = 0;
    const body = (failures: number) => () =>
      sql().tx(async (tx) => {
        runs++;
        await tx.query(q`insert into ledger values (${runs}, 0)`);
        if (runs <= failures) await tx.query(q`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`);
        return runs;
      });
    expect(await body(2)()).toBe(3);
    expect(await rows()).toEqual([{ id: 3, amount: 0 }]);
    await fresh();
    runs = 0;
    await expect(body(99)()).rejects.toMatchObject({ code: "40001" });
    expect(runs).toBe(3);
  });

  test("the isolation asked for is the isolation given", async () => {
    const level = await sql().tx((tx) => tx.query(q`select current_setting('transaction_isolation') as level`), {
      isolation: "serializable",
    });
    expect(level).toEqual([{ level: "serializable" }]);
  });
}

function sessions(sql: () => Sql): void {
  test("a session's settings die with it", async () => {
    await sql().session(async (session) => {
      await session.script("set lock_timeout = '1234ms'");
      expect(await session.query(q`select current_setting('lock_timeout') as t`)).toEqual([{ t: "1234ms" }]);
    });
    for (let n = 0; n < 8; n++) {
      expect(await sql().query(q`select current_setting('lock_timeout') as t`)).toEqual([{ t: "0" }]);
    }
  });
}

function pools(open: Open, prepare: Prepare): void {
  test("several pools at once: every transaction is whole, and they interleave", async () => {
    const pools = [1, 2, 3].map(() => open({ waitTimeout: 60_000 }));
    const [first] = pools;
    try {
      await prepare(
        "drop table if exists accounts; create table accounts (id int primary key, balance int); insert into accounts select g, 100 from generate_series(1, 10) g",
      );
      const transfer = (pool: Sql, n: number) =>
        pool.tx(
          async (tx) => {
            // In the order of their ids: what is tried here is the pools, not the deadlock detector.
            const [a, b] = [(n % 10) + 1, ((n * 7 + 3) % 10) + 1];
            const [from, to] = [Math.min(a, b), Math.max(a, b)];
            await tx.query(q`update accounts set balance = balance - 1 where id = ${from}`);
            await tx.query(q`select ${n}::int as n, pg_backend_pid()`);
            await tx.query(q`update accounts set balance = balance + 1 where id = ${to}`);
          },
          { attempts: 20 },
        );
      const work = Array.from({ length: 300 }, (_, n) => transfer(pools[n % 3]!, n));
      const settled = await Promise.allSettled(work);
      expect(settled.filter((one) => one.status === "rejected")).toEqual([]);
      expect(await first!.query(q`select sum(balance)::int as total from accounts`)).toEqual([{ total: 1_000 }]);
    } finally {
      await Promise.all(pools.map((pool) => pool.close()));
    }
  }, 30_000);

  test("answers reach their own question, whatever runs beside it", async () => {
    // Patient ones: how long the machine takes for it is not the point.
    const pools = [4, 2, 1].map((poolMax) => open({ poolMax, waitTimeout: 60_000 }));
    try {
      const ask = async (n: number) => {
        const [row] = await pools[n % 3]!.query<{ n: number; pad: string }>(
          q`select ${n}::int as n, repeat('x', ${n % 97}::int) as pad`,
        );
        return row!.n === n && row!.pad.length === n % 97;
      };
      const answers = await Promise.all(Array.from({ length: 3_000 }, (_, n) => ask(n % 900)));
      expect(answers.every(Boolean)).toBe(true);
    } finally {
      await Promise.all(pools.map((pool) => pool.close()));
    }
  });

  test("a statement that waits too long for a connection is told that the pool is overloaded", async () => {
    const small = open({ poolMax: 1, waitTimeout: 50 });
    try {
      await small.tx(async (tx) => {
        await tx.query(q`select 1`);
        await expect(small.query(q`select 1`)).rejects.toMatchObject({ code: "overloaded", status: 503 });
      });
      const { timings } = small.servers[0]!;
      expect([timings.wait.count, timings.tx.count, timings.write.count]).toEqual([1, 1, 0]);
      expect(timings.wait.sum).toBeGreaterThan(0.04);
      expect(await small.query(q`select 1 as one`)).toEqual([{ one: 1 }]);
    } finally {
      await small.close();
    }
  });

  test("the queue for a connection has an end", async () => {
    const small = open({ poolMax: 1 });
    try {
      await small.tx(async () => {
        const waiting = Array.from({ length: 10_000 }, () => small.query(q`select 1`));
        await expect(small.query(q`select 1`)).rejects.toMatchObject({ code: "overloaded" });
        void Promise.allSettled(waiting);
      });
    } finally {
      await small.close();
    }
  });

  test("close lets work under way finish and refuses what comes after; closing twice is fine", async () => {
    const pool = open();
    const slow = pool.query(q`select pg_sleep(0.2), 1 as one`);
    await Promise.all([pool.close(), pool.close()]);
    expect(await slow).toMatchObject([{ one: 1 }]);
    await expect(pool.query(q`select 1`)).rejects.toMatchObject({ code: "draining" });
  });

  test("a server that is not there is an error that names it, without the password", async () => {
    const nowhere = openSql("postgres://someone:geheim@127.0.0.1:1/db", {
      applicationName: "t",
      poolMax: 1,
      statementTimeout: 0,
    });
    const error = await nowhere.ping().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store_unavailable" });
    expect(String(error)).toContain("127.0.0.1:1");
    expect(String(error)).not.toContain("geheim");
    await nowhere.close();
  });
}
