/** When role app may receive work: what it waits for, what it names, and what must not take it out again. */
import { expect, setDefaultTimeout, test } from "bun:test";

import { eventually } from "../harness/eventually.ts";
import { createDatabase } from "../harness/postgres.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

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
