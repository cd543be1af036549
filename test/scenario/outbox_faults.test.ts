/** The outbox when a store or a worker fails at the worst moment: on PostgreSQL and a Redis of its own. Everything else is outbox.test.ts. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";

import { eventually } from "../harness/eventually.ts";
import { post, signup, Site } from "../harness/outbox_site.ts";
import { createDatabase } from "../harness/postgres.ts";
import type { ScaleProcess } from "../harness/process.ts";
import { startRedis } from "../harness/redis.ts";

setDefaultTimeout(60_000);

/** Relays that wait in their DELETE. */
const hanging =
  "select pid from pg_stat_activity where wait_event = 'advisory' and query like 'delete from scale.outbox%'";

describe("with a Redis of its own", () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let site: Site;
  beforeAll(async () => {
    redis = await startRedis({ appendonly: "yes", appendfsync: "always" });
    site = new Site(await createDatabase(), redis.url);
    await site.migrate();
  });
  afterAll(async () => {
    await site.sql.close();
    await redis.remove();
  });
  beforeEach(async () => void (await site.query("truncate people, runs")));

  test("killed between relay and delete: another worker relays again, and the job runs once", async () => {
    // The relay hangs in its DELETE for as long as somebody holds this lock, with the jobs in the queue already.
    await site.query(`create or replace function hang() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock_shared(77); return null; end'`);
    await site.query("create trigger hang before delete on scale.outbox execute function hang()");
    await using app = await site.start("app");
    await site.sql.tx(async (tx) => {
      await tx.query({ text: "select pg_advisory_xact_lock(77)", parameters: [] });
      const id = await signup(app, { name: "Gus" });
      // Three in a row, to be sure that it is the id that counts.
      for (let round = 0; round < 3; round++) {
        const victim = await site.start("worker");
        await eventually(async () => (await site.query(hanging)).length > 0);
        await eventually(async () => (await site.runs()).length === 1);
        // Its outcome is recorded too: what runs again after this was relayed again.
        await eventually(() => queueIsEmpty(redis));
        expect(await site.waiting()).toBeGreaterThan(0);
        victim.kill("SIGKILL");
        await victim.stop();
        // PostgreSQL looks for a client that is gone when it has something to say to it; the lock would keep it silent.
        await site.query(`select pg_terminate_backend(pid) from (${hanging}) hanging`);
        await eventually(async () => (await site.query(hanging)).length === 0);
      }
      expect(await site.runs()).toEqual([{ id, name: "Gus", attempt: 1 }]);
    });
    await site.query("drop trigger hang on scale.outbox");
    await using _ = await site.start("worker");
    await eventually(async () => (await site.waiting()) === 0);
    await eventually(() => queueIsEmpty(redis));
    expect(await site.runs()).toHaveLength(1);
  });

  test("killed before it could invalidate: the old value does not outlive the commit", async () => {
    const app = await site.start("app");
    const person = async (from: ScaleProcess) => (await fetch(`${from.url}/person/Hal`, { keepalive: false })).json();
    expect(await person(app)).toEqual({ n: "0" });
    await redis.kill();
    await signup(app, { name: "Hal" });
    app.kill("SIGKILL");
    await app.stop();
    await redis.start();
    await using successor = await site.start("app");
    expect(await person(successor)).toEqual({ n: "0" });
    await using _ = await site.start("worker");
    await eventually(async () => ((await person(successor)) as { n: string }).n === "1");
    await eventually(async () => (await site.waiting()) === 0);
  });

  test("an invalidation is done right after the commit, without a worker, and its row is gone", async () => {
    await using app = await site.start("app");
    const person = async () => (await fetch(`${app.url}/person/Ida`)).json();
    expect(await person()).toEqual({ n: "0" });
    await signup(app, { name: "Ida" });
    expect(await person()).toEqual({ n: "1" });
    const left = "select 1 from scale.outbox where kind = 'invalidation'";
    await eventually(async () => (await site.query(left)).length === 0);
    await site.query("delete from scale.outbox");
  });

  test("while the queue is away a job waits in the outbox if the application chose that, else enqueueing fails", async () => {
    await using app = await site.start("app");
    await redis.kill();
    const answer = await post(app, "/spare");
    expect(answer.status).toBe(200);
    const { id } = (await answer.json()) as { id: string };
    expect(await site.waiting()).toBe(1);
    await redis.start();
    await using _ = await site.start("worker");
    await eventually(async () => (await site.waiting()) === 0 && (await site.runs()).length > 0);
    expect(await site.runs()).toEqual([{ id, name: "spare", attempt: 1 }]);
  });

  test("while the cache is away its invalidations wait in the outbox, and hold up no job", async () => {
    const cacheStore = await startRedis();
    await using app = await site.start("app");
    await using _ = await site.start("worker", [], [`--cache-url=${cacheStore.url}`]);
    await cacheStore.kill();
    try {
      // More than a batch of them, older than the job.
      await site.query(`insert into scale.outbox (namespace, id, kind, version, body)
        select '${site.env["SCALE_NAMESPACE"]}', gen_random_uuid(), 'invalidation', 1, '{"keys":["person:Ada"],"tags":[]}'
        from generate_series(1, 600)`);
      await signup(app, { name: "Kim" });
      await eventually(async () => (await site.runs()).length === 1);
      await eventually(async () => (await site.query("select 1 from scale.outbox where kind = 'job'")).length === 0);
      expect(await site.waiting()).toBeGreaterThanOrEqual(600);
      await cacheStore.start();
      await eventually(async () => (await site.waiting()) === 0);
    } finally {
      await cacheStore.remove();
    }
  });

  test("a job enqueued inside sql.tx without { tx } runs although nothing committed, and the log says so, once", async () => {
    await using app = await site.start("app", [/changed my mind/]);
    await using _ = await site.start("worker");
    for (let round = 0; round < 2; round++) expect((await post(app, "/careless")).status).toBe(500);
    await eventually(async () => (await site.runs()).length === 2);
    expect(await site.query("select 1 from people")).toEqual([]);
    const warnings = app.log().filter((line) => line.includes("job greet is enqueued inside sql.tx without { tx }"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('"level":"warn"');
  });

  test("a relay that hangs in its transaction loses it after thirty seconds, and another moves its rows", async () => {
    await using app = await site.start("app");
    const hung = await site.start("worker");
    // It hangs between its statements, with the rows locked, for as long as the queue does not answer; then for good.
    process.kill(redis.pid(), "SIGSTOP");
    const id = await signup(app, { name: "Lea" });
    const lockable = "select 1 from scale.outbox where kind = 'job' for update skip locked";
    const isLocked = async () => (await site.query(lockable)).length === 0;
    await eventually(async () => {
      if (!(await isLocked())) return false;
      hung.kill("SIGSTOP");
      if (await isLocked()) return true;
      hung.kill("SIGCONT");
      return false;
    });
    const since = performance.now();
    process.kill(redis.pid(), "SIGCONT");
    await using _ = await site.start("worker");
    // The job may run sooner: what the first had written to the queue's socket is read now. Its row is what only the other can take.
    await eventually(async () => (await site.waiting()) === 0, { timeout: 60_000, what: "the other relay" });
    expect(performance.now() - since).toBeGreaterThan(25_000);
    // What the first does when it comes to itself changes nothing.
    hung.kill("SIGCONT");
    await eventually(async () => (await fetch(`${hung.adminUrl}/readyz`, { keepalive: false })).ok);
    await eventually(async () => (await queueIsEmpty(redis)) && (await site.runs()).length > 0);
    expect(await site.runs()).toEqual([{ id, name: "Lea", attempt: 1 }]);
    expect(await hung.stop()).toBe(0);
  }, 120_000);

  test("a worker hears of a commit: it does not wait for its next look", async () => {
    await using app = await site.start("app");
    await using _ = await site.start("worker");
    const listening = "select 1 from pg_stat_activity where query like 'listen %' and datname = current_database()";
    await eventually(async () => (await site.query(listening)).length === 1);
    const asked = performance.now();
    for (let count = 1; count <= 6; count++) {
      await signup(app, { name: "quick" });
      await eventually(async () => (await site.runs()).length === count);
    }
    // Looking once a second would take three seconds on average.
    expect(performance.now() - asked).toBeLessThan(1_500);
  });
});

async function queueIsEmpty(redis: Awaited<ReturnType<typeof startRedis>>): Promise<boolean> {
  const client = redis.client();
  const streams = await client.keys("*:stream");
  const lengths = await Promise.all(streams.map((stream) => client.xlen(stream)));
  client.disconnect();
  return lengths.every((length) => length === 0);
}
