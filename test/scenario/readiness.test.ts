/** When role app may receive work: what it waits for, what it names, and what must not take it out again. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { eventually } from "../harness/eventually.ts";
import { createDatabase, startPostgres, startReplica } from "../harness/postgres.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/kept.ts`;

interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
  readonly stores: { readonly [store: string]: string };
}

async function readiness(app: ScaleProcess): Promise<Readiness & { readonly status: number }> {
  const response = await fetch(`${app.url}/readyz`, { keepalive: false });
  return { status: response.status, ...((await response.json()) as Readiness) };
}

test("pending migrations keep an application out, by name, until scale migrate has run; --migrate=auto applies them", async () => {
  const env = { DATABASE_URL: await createDatabase() };
  await using app = await startScale(["--role=app", "--drain-delay=0"], { env, ready: "listening" });
  await eventually(async () => (await readiness(app)).reason?.includes("migrations are pending"));
  const waiting = await readiness(app);
  expect(waiting.status).toBe(503);
  expect(waiting.reason).toContain("001_users_and_posts.sql");
  expect(waiting.reason).toContain("Fix: scale migrate, or --migrate=auto");
  expect((await runScale(["migrate"], { env })).code).toBe(0);
  await eventually(async () => (await readiness(app)).status === 200);

  const fresh = { DATABASE_URL: await createDatabase() };
  await using automatic = await startScale(["--role=app", "--migrate=auto", "--drain-delay=0"], { env: fresh });
  expect((await readiness(automatic)).ready).toBe(true);
});

test("a store is waited for once; when it goes away later the body says so and the status stays 200", async () => {
  const redis = await startRedis();
  try {
    await redis.kill();
    const env = { REDIS_URL: redis.url };
    const entry = `${import.meta.dir}/fixtures/entry.ts`;
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], { env, ready: "listening" });
    await eventually(async () => (await readiness(app)).stores["kv"] === "down");
    expect((await readiness(app)).status).toBe(503);
    await redis.start();
    await eventually(async () => (await readiness(app)).status === 200);
    await redis.kill();
    await eventually(async () => (await readiness(app)).stores["kv"] === "down", { timeout: 20_000 });
    expect(await readiness(app)).toMatchObject({ status: 200, ready: true });
    expect((await fetch(`${app.url}/json`, { keepalive: false })).status).toBe(200);
  } finally {
    await redis.remove();
  }
});

test("a database that is a standby, or that refuses, is told at start with what to do about it", async () => {
  const primary = await startPostgres();
  const standby = await startReplica(primary);
  try {
    await using app = await startScale(["--role=app", entry, "--drain-delay=0"], {
      env: { DATABASE_URL: standby.url },
    });
    const says = (text: string) => eventually(() => app.log().some((line) => line.includes(text)));
    await says(`PostgreSQL at 127.0.0.1:${standby.port} is a standby, and refuses writes. Fix: `);
    await standby.promote();
    await says(`PostgreSQL at 127.0.0.1:${standby.port} takes writes again`);

    for (const [url, told] of [
      [primary.url.replace("harness@", "wrong@"), "it refuses this password (28P01). Fix: check user and password"],
      [`${primary.url}?sslmode=require`, "it speaks no TLS, which the URL asks for (ECONNRESET). Fix: check sslmode"],
      ["postgres://u@host.invalid/d", "no such host (ENOTFOUND). Fix: check the host of the URL"],
    ] as const) {
      await using refused = await startScale(["--role=app", entry, "--drain-delay=0"], {
        env: { DATABASE_URL: url },
        ready: "listening",
      });
      await eventually(() => refused.log().some((line) => line.includes("→ down") && line.includes(told)), {
        what: told,
      });
    }
  } finally {
    await standby.remove();
    await primary.remove();
  }
});
