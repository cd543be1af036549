/**
 * One cache before three applications, while its Redis is killed, flushed and cuts connections: whatever happens, nobody is served what was
 * invalidated before he asked. With `local` that holds at once in the process that invalidated, and elsewhere once that has been told.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";

import { openSql } from "../../src/store/sql/sql.ts";
import { eventually } from "../harness/eventually.ts";
import { faultsOf, History } from "../harness/history.ts";
import { currentScope } from "../harness/leaks.ts";
import { createDatabase } from "../harness/postgres.ts";
import { type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, type RedisServer, startRedis } from "../harness/redis.ts";
import { seeded } from "../harness/seeded.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/cached.ts`;
/** Within two probes of a second each a process that cannot be told knows it, and `local` is 10 s here; the rest is for a busy machine. */
const toldWithinMs = 5_000;
let redis: RedisServer;
let apps: ScaleProcess[] = [];

beforeAll(async () => {
  const scope = currentScope();
  redis = await startRedis();
  const databaseUrl = await createDatabase();
  const sql = openSql(databaseUrl, { applicationName: "test", poolMax: 1, statementTimeout: 0 });
  await sql.session((session) => session.script("create table versions (key text primary key, n int not null)"));
  await sql.close();
  const env = { DATABASE_URL: databaseUrl, REDIS_URL: redis.url, SCALE_NAMESPACE: freshNamespace() };
  const flags = ["--drain-delay=0", "--cache-outcomes=show"];
  // An invalidation that the store did not take is the writer's error, and logged as one.
  const start = () => startScale(["--role=app", entry, ...flags], { env, scope, expectErrors: [/versions.*failed/] });
  apps = await Promise.all([start(), start(), start()]);
});
afterAll(async () => {
  for (const app of apps) await app.stop();
  await redis.remove();
});

async function put(app: ScaleProcess, key: string, version: number): Promise<void> {
  const response = await fetch(`${app.url}/versions/${key}`, { method: "PUT", body: String(version) });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
}

async function look(app: ScaleProcess, key: string): Promise<Response> {
  const response = await fetch(`${app.url}/versions/${key}`);
  expect(response.status).toBe(200);
  return response;
}

const command =
  (...words: readonly [string, ...string[]]) =>
  async () => {
    const client = redis.client();
    await client.call(...words);
    client.disconnect();
  };
const cutConnections = command("client", "kill", "type", "normal");
const cutListeners = command("client", "kill", "type", "pubsub");
const flush = command("flushall");
const restart = async () => {
  await redis.kill();
  await Bun.sleep(200);
  await redis.start();
};

test("nothing is served that was invalidated before", async () => {
  const history = new History();
  const random = seeded(7);
  const keys = ["far-1", "far-tagged-1", "near-1", "near-2", "near-tagged-1"];
  let isOver = false;
  const write = async (key: string, index: number) => {
    // Always through the same application: the others know only what they are told.
    const app = apps[index % apps.length]!;
    for (let version = 1; !isOver; version++) {
      await history
        .write(`writer of ${key}`, app.url, key, version, () => put(app, key, version))
        .catch(() => undefined);
      await Bun.sleep(5 + 40 * random());
    }
  };
  const read = async (name: string, app: ScaleProcess) => {
    for (let n = 0; !isOver; n++) {
      const key = keys[n % keys.length]!;
      await history.read(name, app.url, key, async () => (await look(app, key)).json() as Promise<number>);
      await Bun.sleep(1);
    }
  };
  const work = [
    ...keys.map((key, index) => write(key, index)),
    ...apps.flatMap((app, index) => [0, 1].map((n) => read(`reader ${index}.${n}`, app))),
  ];
  try {
    for (const breaks of [cutConnections, cutListeners, flush, restart, cutListeners, cutConnections, restart]) {
      await breaks();
      const before = history.events.length;
      await eventually(() => history.events.length > before + 300);
    }
    // Long enough for what nobody is told of to be seen.
    await Bun.sleep(toldWithinMs + 2_000);
  } finally {
    isOver = true;
    await Promise.all(work);
  }
  const [far, near] = [(key: string) => key.startsWith("far"), (key: string) => key.startsWith("near")];
  const of = (which: (key: string) => boolean) => history.events.filter(({ key }) => which(key));
  expect(faultsOf(of(far), { readYourWrites: true, freshAfterMs: { same: 0, others: 0 } })).toEqual([]);
  expect(faultsOf(of(near), { freshAfterMs: { same: 0, others: toldWithinMs } })).toEqual([]);
  // What is broken was in use.
  expect(of(near).filter(({ kind, isUnknown }) => kind === "write" && !isUnknown).length).toBeGreaterThan(50);
});

test("a developer is told how look-ups ended, and what is kept in the process is not asked for again", async () => {
  await put(apps[0]!, "near-told", 1);
  const outcome = async () => (await look(apps[0]!, "near-told")).headers.get("server-timing");
  await eventually(async () => (await outcome()) === 'cache;desc="local 1"', { what: "the value being kept" });
  await put(apps[0]!, "near-told", 2);
  // A store that took too long for it is done without.
  expect(await outcome()).toMatch(/^cache;desc="(miss|error) 1"$/);
  await put(apps[1]!, "near-told", 3);
  await eventually(async () => (await (await look(apps[0]!, "near-told")).json()) === 3);
});
