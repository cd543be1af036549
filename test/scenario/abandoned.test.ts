/** Whoever stops waiting for the database stops its work there: a client that leaves, a deadline, a job's end. On the binary. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { createDatabase, startPostgres } from "../harness/postgres.ts";
import { freeze } from "../harness/proc.ts";
import { startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/abandoned.ts`;
let url = "";
let watcher: Sql;
beforeAll(async () => {
  url = await createDatabase();
  watcher = openSql(url, { applicationName: "watcher", poolMax: 1, statementTimeout: 0 });
});
afterAll(() => watcher.close());

/** Sessions that run a statement with these words. */
const running = async (words: string) => {
  const text = "select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like $1";
  return (await watcher.query({ text, parameters: [`%${words}%`] })).length;
};
const gone = (words: string) => eventually(async () => (await running(words)) === 0, { timeout: 1_000 });

test.each(["/read", "/tx"])(
  "a client that leaves %s ends its statement within a second, without an error",
  async (path) => {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env: { DATABASE_URL: url } });
    const client = Bun.spawn(["curl", "-s", app.url + path], { stdio: ["ignore", "ignore", "inherit"] });
    await eventually(async () => (await running("of a request")) === 1);
    client.kill("SIGKILL");
    await client.exited;
    await gone("of a request");
    await eventually(() => app.log().some((line) => line.includes("client_gone")));
    const result = { server: new URL(url).host, result: "cancelled" };
    expect(await metric(app.adminUrl, "sql_abandoned_total", result)).toBe(1);
    expect(await watcher.query({ text: "select to_regclass('half_done') as found", parameters: [] })).toEqual([
      { found: null },
    ]);
    expect((await fetch(`${app.url}/quick`)).status).toBe(200);
  },
);

test("a request whose time is up is answered then, and its statement ended", async () => {
  await using app = await startScale(["--role=app", entry, "--drain-delay=0", "--request-timeout=1s"], {
    env: { DATABASE_URL: url },
    expectErrors: [/was not answered after 1 s/],
  });
  const answer = fetch(`${app.url}/read`);
  await eventually(async () => (await running("of a request")) === 1);
  expect((await answer).status).toBe(503);
  await gone("of a request");
});

test("a job whose time is up has its statement ended", async () => {
  const env = { DATABASE_URL: url, REDIS_URL: (await sharedRedis()).url, SCALE_NAMESPACE: freshNamespace() };
  await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env });
  await using worker = await startScale(["--role=worker", entry], { env, expectErrors: [/slow/] });
  await fetch(`${app.url}/enqueue`, { method: "POST" });
  await eventually(async () => (await running("of a job")) === 1);
  const since = performance.now();
  await eventually(async () => (await running("of a job")) === 0, { timeout: 5_000 });
  // Its timeout of 500 ms, and not the 20 s that the statement takes.
  expect(performance.now() - since).toBeLessThan(5_000);
  expect(worker.adminUrl).toBeString();
});

test("a server that says nothing keeps no request longer than its time, and the application serves again when it answers", async () => {
  const server = await startPostgres();
  const database = await server.createDatabase();
  await using app = await startScale(["--role=app", entry, "--drain-delay=0", "--request-timeout=1s"], {
    env: { DATABASE_URL: database },
    expectErrors: [/was not answered after 1 s/, /store sql/, /is unavailable/],
  });
  expect((await fetch(`${app.url}/quick`)).status).toBe(200);
  const thaw = freeze(server.pid());
  const since = performance.now();
  const statuses = await Promise.all(Array.from({ length: 60 }, async () => (await fetch(`${app.url}/quick`)).status));
  const took = performance.now() - since;
  thaw();
  expect(new Set(statuses)).toEqual(new Set([503]));
  expect(took).toBeLessThan(5_000);
  await eventually(async () => (await fetch(`${app.url}/quick`)).status === 200);
  await server.remove();
});
