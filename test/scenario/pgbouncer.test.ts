/** Application and workers behind a PgBouncer in transaction mode: what commits with a transaction happens, and nothing waits for a word. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { startPgBouncer } from "../harness/pgbouncer.ts";
import { sharedPostgres } from "../harness/postgres.ts";
import { runScale, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/outbox.ts`;

test("jobs run that transactions enqueued, the warning about unbounded statements is said once, and migrating is sent past it", async () => {
  const server = await sharedPostgres();
  const database = await server.createDatabase();
  const bouncer = await startPgBouncer(server);
  const env = {
    DATABASE_URL: bouncer.url(database),
    REDIS_URL: (await sharedRedis()).url,
    SCALE_NAMESPACE: freshNamespace(),
  };
  const refused = await runScale(["migrate", entry], { env });
  expect(refused).toMatchObject({ code: 78 });
  expect(refused.stdout + refused.stderr).toContain("without pgbouncer=true");
  expect(await runScale(["migrate", entry], { env: { ...env, DATABASE_URL: database } })).toMatchObject({ code: 0 });
  const sql = openSql(database, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  try {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env });
    await using worker = await startScale(["--role=worker", entry], { env });
    expect(worker.adminUrl).toBeString();
    for (let n = 0; n < 20; n++) {
      const response = await fetch(`${app.url}/signup`, { method: "POST", body: JSON.stringify({ name: `n${n}` }) });
      expect(response.status).toBe(200);
    }
    const runs = () => sql.query({ text: "select distinct name from runs", parameters: [] });
    await eventually(async () => (await runs()).length === 20);
    const warnings = app.log().filter((line) => line.includes("carries no --sql-statement-timeout"));
    expect(warnings).toHaveLength(1);
  } finally {
    await sql.close();
    await bouncer.stop();
  }
});

test("a parameter pgbouncer that is neither true nor false is a configuration error", async () => {
  const refused = await runScale(["--role=app", entry, "--print-config"], {
    env: { DATABASE_URL: "postgres://u@127.0.0.1/d?pgbouncer=yes" },
  });
  expect(refused).toMatchObject({ code: 78 });
  expect(refused.stdout + refused.stderr).toContain("expected pgbouncer=true");
});
