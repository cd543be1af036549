/** What the guide's first day warns of, N+1 and missing indexes, is seen while it is small. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { openQueue } from "../../src/store/queue/open.ts";
import { openSql } from "../../src/store/sql/sql.ts";
import { closing, get } from "../harness/balancer.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { createDatabase } from "../harness/postgres.ts";
import { runScale, startScale } from "../harness/process.ts";
import { exchange } from "../harness/raw.ts";
import { freshNamespace, sharedRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/n_plus_one.ts`;
const schema = `
create table authors (id bigint primary key, name text not null);
create table posts (id bigint primary key, author_id bigint not null references authors, body text not null);
insert into authors select n, 'author ' || n from generate_series(1, 1000) n;
insert into posts select n, n % 1000 + 1, 'post' from generate_series(1, 50000) n;
analyze`;

async function execute(databaseUrl: string, text: string): Promise<void> {
  const sql = openSql(databaseUrl, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  await sql.session((session) => session.script(text));
  await sql.close();
}

test("the same statement over and over for one answer is counted, and in development said with its line", async () => {
  const env = { DATABASE_URL: await createDatabase() };
  await execute(env.DATABASE_URL, schema);
  await using app = await startScale(["--role=app", entry, "--drain-delay=0", "--repeated-statements=warn"], { env });
  const slow = await fetch(`${app.url}/slow`);
  expect(((await slow.json()) as unknown[]).length).toBe(100);
  expect(slow.headers.get("server-timing")).toBe('n-plus-one;desc="the same statement 100 times"');
  const warnings = app.log().filter((line) => line.includes("N+1"));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain("select name from authors where id = $1");
  expect(warnings[0]).toContain("fixtures/n_plus_one.ts:");
  const right = await fetch(`${app.url}/right`);
  expect(((await right.json()) as unknown[]).length).toBe(100);
  expect(right.headers.get("server-timing")).toBeNull();
  expect(await metric(app.adminUrl, "sql_repeated_statements_total")).toBe(1);

  await using silent = await startScale(["--role=app", entry, "--drain-delay=0"], { env });
  expect((await fetch(`${silent.url}/slow`)).headers.get("server-timing")).toBeNull();
  expect(silent.log().filter((line) => line.includes("N+1"))).toEqual([]);
  expect(await metric(silent.adminUrl, "sql_repeated_statements_total")).toBe(1);
});

test.each([1, 2])(
  "scale doctor --database names the index that serves an application of %d processes, until it is there",
  async (processes) => {
    const env = { DATABASE_URL: await createDatabase() };
    await execute(env.DATABASE_URL, schema);
    await using app = await startScale(["--role=app", entry, "--drain-delay=0", `--processes=${processes}`], { env });
    for (const path of ["/of/7", "/right"]) await (await fetch(`${app.url}${path}`)).text();

    const before = await runScale(["doctor", "--database", `--run-dir=${app.runDir}`], { env });
    expect(before.stdout).toContain(
      "reads all 50000 rows of posts, sent 1 times:\n  select id from posts where author_id = $1",
    );
    expect(before.stdout).toContain("Fix: create index concurrently on posts (author_id)");
    expect(before.stdout).toContain("the foreign key posts (author_id) has no index");
    expect(before.code).toBe(1);

    await execute(env.DATABASE_URL, "create index on posts (author_id)");
    const after = await runScale(["doctor", "--database", `--run-dir=${app.runDir}`], { env });
    expect(after.stdout).toContain("0 findings");
    expect(after.code).toBe(0);

    // All are one author's: PostgreSQL knows the index, and does better without it.
    await execute(env.DATABASE_URL, "update posts set author_id = 1; analyze posts");
    const lopsided = await runScale(["doctor", "--database", `--run-dir=${app.runDir}`], { env });
    expect(lopsided.stdout).toContain("Fix: ask for fewer rows: an index on posts (author_id) is there");

    const alone = await runScale(["doctor"], { env });
    expect(alone.code).toBe(2);
    expect(alone.stderr).toContain("scale doctor --database");
  },
);

test("what the processes of an application have sent is added up, and one that does not say is a finding", async () => {
  const env = { DATABASE_URL: await createDatabase() };
  await execute(env.DATABASE_URL, `${schema}; create index on posts (author_id)`);
  await using app = await startScale(["--role=app", entry, "--drain-delay=0", "--processes=2"], { env });
  // On a connection each, so that the kernel chooses a process anew.
  for (let n = 0; n < 20; n++) await exchange(app.url, get("/of/7", closing));
  const shapes = (await (await fetch(`${app.adminUrl}/statements`)).json()) as { text: string; times: number }[];
  expect(shapes).toContainEqual({ text: "select id from posts where author_id = $1", times: 20 });

  const other = { pid: process.pid, role: "app", admin: new URL(app.url).host };
  writeFileSync(join(app.runDir, `app-${process.pid}.json`), JSON.stringify(other));
  const { code, stdout } = await runScale(["doctor", "--database", `--run-dir=${app.runDir}`], { env });
  expect(stdout).toContain(`role app (${process.pid}) does not say which statements it sends`);
  expect(stdout).toContain("/statements answers with status 404: ");
  expect(code).toBe(1);
});

test("the statements of jobs are looked at too", async () => {
  const namespace = freshNamespace();
  const env = {
    DATABASE_URL: await createDatabase(),
    REDIS_URL: (await sharedRedis()).url,
    SCALE_NAMESPACE: namespace,
  };
  await execute(env.DATABASE_URL, schema);
  await using worker = await startScale(["--role=worker", entry], { env });
  const queue = openQueue(env.REDIS_URL, { namespace });
  await queue.enqueue("default", [{ name: "count_posts", payload: "7" }]);
  const looked = async () => (await runScale(["doctor", "--database", `--run-dir=${worker.runDir}`], { env })).stdout;
  await eventually(async () =>
    (await looked()).includes("select count(*)::int as posts from posts where author_id = $1"),
  );
  await queue.close();
});
