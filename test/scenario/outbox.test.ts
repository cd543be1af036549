/**
 * What commits with a transaction happens, once, whoever dies: jobs and invalidations through the outbox, on PostgreSQL and Redis and
 * on the embedded stores. Real processes, killed at the worst moments. Stores that fail are outbox_faults.test.ts.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type EmbeddedServer, startEmbedded } from "../harness/embedded.ts";
import { eventually } from "../harness/eventually.ts";
import { metric } from "../harness/metrics.ts";
import { post, signup, Site } from "../harness/outbox_site.ts";
import { createDatabase } from "../harness/postgres.ts";
import { sharedRedis } from "../harness/redis.ts";
import { seeded } from "../harness/seeded.ts";

setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "scale-outbox-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

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
