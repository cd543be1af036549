/**
 * What commits with a transaction happens, once, whoever dies: jobs and invalidations through the outbox, on PostgreSQL and Redis and
 * on the embedded stores. Real processes, killed at the worst moments.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openSql, type Sql } from "../../src/store/sql/sql.ts";
import { type EmbeddedServer, startEmbedded } from "../harness/embedded.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { createDatabase } from "../harness/postgres.ts";
import { runScale, type ScaleProcess, startScale } from "../harness/process.ts";
import { freshNamespace, sharedRedis, startRedis } from "../harness/redis.ts";
import { seeded } from "../harness/seeded.ts";

setDefaultTimeout(60_000);

const entry = `${import.meta.dir}/fixtures/outbox.ts`;
const directory = mkdtempSync(join(tmpdir(), "scale-outbox-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Relays that wait in their DELETE. */
const hanging =
  "select pid from pg_stat_activity where wait_event = 'advisory' and query like 'delete from scale.outbox%'";

interface Run {
  readonly id: string;
  readonly name: string;
  readonly attempt: number;
}

/** An application and workers on one set of stores, and a look into its database. */
class Site {
  readonly env: { readonly [name: string]: string };
  readonly sql: Sql;

  constructor(databaseUrl: string, redisUrl: string) {
    this.env = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, SCALE_NAMESPACE: freshNamespace() };
    this.sql = openSql(databaseUrl, { applicationName: "test", poolMax: 2, statementTimeout: 10_000 });
  }

  async migrate(): Promise<void> {
    const { code, stdout, stderr } = await runScale(["migrate", entry], { env: this.env });
    if (code !== 0) throw new Error(stdout + stderr);
  }

  start(
    role: "app" | "worker",
    expectErrors: readonly RegExp[] = [],
    more: readonly string[] = [],
  ): Promise<ScaleProcess> {
    const flags = role === "app" ? ["--drain-delay=0", "--cache-timeout=2s"] : ["--job-lease=2s"];
    return startScale([`--role=${role}`, entry, ...flags, ...more], { env: this.env, expectErrors });
  }

  query<R extends object>(text: string): Promise<R[]> {
    return this.sql.query<R>({ text, parameters: [] });
  }

  runs(): Promise<Run[]> {
    return this.query<Run>("select id, name, attempt from runs order by number");
  }

  async waiting(): Promise<number> {
    const namespace = this.env["SCALE_NAMESPACE"];
    const rows = await this.query(
      `select 1 from scale.outbox where namespace = '${namespace}' and kind <> 'unreadable'`,
    );
    return rows.length;
  }
}

const post = (app: ScaleProcess, path: string, body: unknown = {}) =>
  fetch(app.url + path, { method: "POST", body: JSON.stringify(body), keepalive: false });
const signup = async (app: ScaleProcess, body: unknown): Promise<string> => {
  const response = await post(app, "/signup", body);
  expect(response.status).toBe(200);
  return ((await response.json()) as { id: string }).id;
};

let embedded: EmbeddedServer;
beforeAll(async () => void (embedded = await startEmbedded()));
afterAll(() => embedded.remove());

const stores = {
  "PostgreSQL and Redis": async () => new Site(await createDatabase(), (await sharedRedis()).url),
  "the embedded stores": () => Promise.resolve(new Site(embedded.url, `file:${directory}/store.sqlite`)),
};

for (const [name, make] of Object.entries(stores)) {
  describe(`on ${name}`, () => {
    let site: Site;
    beforeAll(async () => {
      site = await make();
      await site.migrate();
    });
    beforeEach(async () => void (await site.query("truncate people, runs")));
    afterAll(() => site.sql.close());

    test("a job runs once if its transaction commits, under the id it was given, and never if not", async () => {
      await using app = await site.start("app", [/changed my mind/]);
      await using worker = await site.start("worker");
      expect((await post(app, "/signup", { name: "Eve", fail: true })).status).toBe(500);
      const id = await signup(app, { name: "Ada" });
      expect(id).toMatch(/^default:[0-9a-f-]{36}$/);
      await eventually(async () => (await site.runs()).length > 0);
      await eventually(async () => (await site.waiting()) === 0);
      expect(await site.runs()).toEqual([{ id, name: "Ada", attempt: 1 }]);
      expect(await site.query("select name from people")).toEqual([{ name: "Ada" }]);
      await eventually(async () => (await metric(worker.adminUrl, "outbox_relayed_total", { kind: "job" })) === 1);
      expect(await metric(app.adminUrl, "jobs_enqueued_total", { job: "greet" })).toBe(1);
    });

    test("a job is known from its commit on, and taken back before a relay has come by", async () => {
      await using app = await site.start("app");
      const kept = await signup(app, { name: "Kim" });
      const late = await signup(app, { name: "Lea", delay: "1h" });
      const ask = async (id: string, kind = "greet", init: RequestInit = {}) =>
        (await fetch(`${app.url}/${kind}/${id}`, init)).json();
      expect(await ask(kept)).toEqual({ id: kept, state: "available", attempts: 0 });
      expect(await ask(late)).toEqual({ id: late, state: "scheduled", attempts: 0 });
      expect(await ask(kept, "spare")).toEqual({ state: "none" });
      expect(await ask(late, "greet", { method: "DELETE" })).toEqual({ answer: "cancelled" });
      expect(await ask(late)).toEqual({ state: "none" });
      expect(await site.waiting()).toBe(1);
      await using _ = await site.start("worker");
      await eventually(async () => ((await ask(kept)) as { state: string }).state === "completed");
      expect(await ask(kept, "greet", { method: "DELETE" })).toEqual({ answer: "ended" });
      expect((await site.runs()).map(({ id }) => id)).toEqual([kept]);
    });

    test("a transaction that PostgreSQL asks to run again leaves one job", async () => {
      await using app = await site.start("app");
      const id = await signup(app, { name: "Bob", retry: true });
      await using _ = await site.start("worker");
      await eventually(async () => (await site.runs()).length > 0);
      await eventually(async () => (await site.waiting()) === 0);
      expect(await site.runs()).toEqual([{ id, name: "Bob", attempt: 1 }]);
    });

    test("a delayed job leaves the outbox at once and runs when it is due", async () => {
      await using app = await site.start("app");
      await using _ = await site.start("worker");
      const asked = Date.now();
      await signup(app, { name: "Late", delay: "1500ms" });
      await eventually(async () => (await site.waiting()) === 0, { timeout: 1_400 });
      await eventually(async () => (await site.runs()).length === 1);
      expect(Date.now() - asked).toBeGreaterThanOrEqual(1_500);
    });

    test("killed between commit and relay: the job runs, once", async () => {
      const app = await site.start("app");
      const id = await signup(app, { name: "Cleo" });
      app.kill("SIGKILL");
      await app.stop();
      expect(await site.waiting()).toBeGreaterThan(0);
      await using _ = await site.start("worker");
      await eventually(async () => (await site.waiting()) === 0 && (await site.runs()).length > 0);
      expect(await site.runs()).toEqual([{ id, name: "Cleo", attempt: 1 }]);
    });

    test("relayed again and again because its row could not be deleted: the job runs once", async () => {
      await site.query(`create or replace function refuse() returns trigger language plpgsql as
        'begin raise exception ''not yet''; end'`);
      await site.query("create trigger refuse before delete on scale.outbox execute function refuse()");
      await using app = await site.start("app");
      const id = await signup(app, { name: "Dora" });
      await using worker = await site.start("worker");
      await eventually(async () => (await site.runs()).length > 0);
      await eventually(() => worker.log().some((line) => line.includes("relaying jobs of the outbox failed")));
      await site.query("drop trigger refuse on scale.outbox");
      await eventually(async () => (await site.waiting()) === 0);
      expect(await site.runs()).toEqual([{ id, name: "Dora", attempt: 1 }]);
    });

    test("several workers relay a thousand jobs at once: each runs once", async () => {
      await using app = await site.start("app");
      const answers = await Promise.all(Array.from({ length: 4 }, () => post(app, "/many/250")));
      const ids = (await Promise.all(answers.map((answer) => answer.json()))).flat() as { id: string }[];
      const workers = await Promise.all([1, 2, 3].map(() => site.start("worker")));
      await eventually(async () => (await site.runs()).length >= 1_000, { timeout: 30_000 });
      await eventually(async () => (await site.waiting()) === 0);
      const ran = (await site.runs()).map(({ id }) => id);
      expect(ran).toHaveLength(1_000);
      expect(new Set(ran)).toEqual(new Set(ids.map(({ id }) => id)));
      await Promise.all(workers.map((worker) => worker.stop()));
    });

    test("what nobody can read is set aside with an error, and stops nothing", async () => {
      const columns = "namespace, id, kind, version, queue, body";
      const values = `'${site.env["SCALE_NAMESPACE"]}', gen_random_uuid(), 'job'`;
      await site.query(
        `insert into scale.outbox (${columns}) values (${values}, 1, 'default', 'rubbish'), (${values}, 9, 'default', '')`,
      );
      await using _ = await site.start("worker", [/of scale\.outbox cannot be read and is set aside/]);
      await using app = await site.start("app");
      const id = await signup(app, { name: "Finn" });
      await eventually(async () => (await site.runs()).some((run) => run.id === id));
      // Of a later version: left for a worker that knows it.
      await eventually(async () => (await site.waiting()) === 1);
      await site.query("delete from scale.outbox");
    });
  });
}

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

test("applications and workers killed at random: what committed ran, under the id it was given, and nothing else did", async () => {
  const site = new Site(await createDatabase(), (await sharedRedis()).url);
  await site.migrate();
  const random = seeded(20_26);
  const workers = await Promise.all([site.start("worker"), site.start("worker")]);
  let app = await site.start("app", [/changed my mind/]);
  const given: string[] = [];
  let over = false;
  const person = async (name: string) => {
    for (let count = 0; !over; count++) {
      const response = await post(app, "/signup", { name: `${name} ${count}`, fail: random() < 0.2 }).catch(
        () => undefined,
      );
      if (response?.ok) given.push(((await response.json()) as { id: string }).id);
      else await Bun.sleep(10);
    }
  };
  const people = ["Kim", "Lea", "Max"].map(person);
  for (let round = 0; round < 8; round++) {
    await Bun.sleep(100 + random() * 300);
    const index = Math.floor(random() * workers.length);
    workers[index]!.kill("SIGKILL");
    await workers[index]!.stop();
    workers[index] = await site.start("worker");
    if (round % 3 !== 2) continue;
    app.kill("SIGKILL");
    await app.stop().catch(() => undefined);
    app = await site.start("app", [/changed my mind/]);
  }
  over = true;
  await Promise.all(people);
  const committed = (await site.query("select 1 from people")).length;
  const ids = async () => new Set((await site.runs()).map(({ id }) => id));
  // Longer than a lease: what a killed worker held is taken over then.
  await eventually(async () => (await ids()).size >= committed, { timeout: 30_000 });
  await eventually(async () => (await site.waiting()) === 0);
  expect((await ids()).size).toBe(committed);
  expect(given.length).toBeGreaterThan(20);
  expect(given.length).toBeLessThanOrEqual(committed);
  const ran = await ids();
  expect(given.filter((id) => !ran.has(id))).toEqual([]);
  // A second run is a second attempt: of a job that is in the queue once.
  const attempts = (await site.runs()).map(({ id, attempt }) => `${id} ${attempt}`);
  expect(new Set(attempts).size).toBe(attempts.length);
  await app.stop();
  await Promise.all(workers.map((worker) => worker.stop()));
  await site.sql.close();
});

test("without scale's own tables the error says what to do", async () => {
  const site = new Site(await createDatabase(), (await sharedRedis()).url);
  await site.migrate();
  await site.query("drop table scale.outbox");
  await using app = await site.start("app", [/the database does not have scale's own tables yet/]);
  await using _ = await site.start("worker");
  expect((await post(app, "/signup", { name: "Jo" })).status).toBe(500);
  await eventually(() => app.log().some((line) => line.includes("scale.outbox")));
  expect(await site.query("select 1 from people")).toEqual([]);
  await site.sql.close();
});

async function queueIsEmpty(redis: Awaited<ReturnType<typeof startRedis>>): Promise<boolean> {
  const client = redis.client();
  const streams = await client.keys("*:stream");
  const lengths = await Promise.all(streams.map((stream) => client.xlen(stream)));
  client.disconnect();
  return lengths.every((length) => length === 0);
}
