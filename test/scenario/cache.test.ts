/** One cache before four applications: one load however many ask, nothing older than its invalidation, and life without the store. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { currentScope } from "../harness/leaks.ts";
import { createDatabase } from "../harness/postgres.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/cached.ts`;
let redis: RedisServer;
let sql: Sql;
let apps: ScaleProcess[] = [];

beforeAll(async () => {
  const scope = currentScope();
  redis = await startRedis();
  const databaseUrl = await createDatabase();
  sql = openSql(databaseUrl, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  await sql.session((session) =>
    session.script("create table loads (n int not null, value text); insert into loads values (0, 'first')"),
  );
  const env = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url, SCALE_NAMESPACE: freshNamespace() };
  // A machine that is busy with a thousand requests is no store that is slow.
  const flags = ["--drain-delay=0", "--cache-timeout=5s", "--requests-in-flight-max=5000"];
  const start = () => startScale(["--role=app", entry, ...flags], { env, scope });
  apps = await Promise.all(Array.from({ length: 4 }, start));
});
afterAll(async () => {
  for (const app of apps) await app.stop();
  await sql.close();
  await redis.remove();
});

async function loads(): Promise<number> {
  const [row] = await sql.query<{ n: number }>({ text: "select n from loads", parameters: [] });
  return row!.n;
}

async function get(app: ScaleProcess): Promise<unknown> {
  const response = await fetch(`${app.url}/value`);
  expect(response.status).toBe(200);
  return response.json();
}

test("a thousand misses at once over four processes are one load", async () => {
  const before = await loads();
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, n) => get(apps[n % 4]!)));
  expect(new Set(answers)).toEqual(new Set(["first"]));
  expect((await loads()) - before).toBe(1);
});

test("what is read after an invalidation was loaded after it, whoever was loading meanwhile", async () => {
  for (let n = 0; n < 5; n++) {
    await fetch(`${apps[0]!.url}/value/before-${n}`, { method: "PUT" });
    const during = get(apps[1]!);
    // In the middle of the load.
    await Bun.sleep(50);
    await fetch(`${apps[2]!.url}/value/after-${n}`, { method: "PUT" });
    // Also where the older load is still under way.
    for (const app of [apps[1]!, ...apps]) expect(await get(app)).toBe(`after-${n}`);
    await during;
    for (const app of apps) expect(await get(app)).toBe(`after-${n}`);
  }
});

test("without its store every request is answered by the database, and the cache is used again when it is back", async () => {
  await fetch(`${apps[0]!.url}/value/alone`, { method: "PUT" });
  await redis.kill();
  const before = await loads();
  const answers = await Promise.all(apps.map(get));
  expect(answers).toEqual(apps.map(() => "alone"));
  expect((await loads()) - before).toBe(4);
  await redis.start();
  await eventually(async () => {
    await Promise.all(apps.map(get));
    const settled = await loads();
    await Promise.all(apps.map(get));
    return (await loads()) === settled;
  });
});
