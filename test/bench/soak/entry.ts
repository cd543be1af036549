// The application of the soak: every way into the queue and every way out of it, in each request. Each job leaves one effect for each
// attempt of it that began. Those with limits are limited.ts.
import { app, Discard, job, schedule, Snooze, sql } from "scale";

import type { Batch } from "./batch.ts";
import { effect, enqueueLimited, limitedJobs } from "./limited.ts";

type Numbered = { readonly number: number };

const soon = { backoff: { base: "100ms", max: "1s" } } as const;
const plain = job<Numbered>("plain", async ({ number }, { id, progress }) => {
  progress({ number });
  await effect(id);
  return { number };
});
const flaky = job<Numbered>(
  "flaky",
  async (_, { id, attempt }) => {
    await effect(id);
    if (attempt === 1) throw new Error("the first attempt always fails");
  },
  soon,
);
const dying = job<Numbered>("dying", async (_, { id }) => {
  await effect(id);
  throw new Discard("it always does");
});
const sleepy = job<Numbered & { readonly until: number }>("sleepy", async ({ until }, { id }) => {
  if (Date.now() < until) throw new Snooze("500ms");
  await effect(id);
});
const never = job<Numbered>("never", (_, { id }) => effect(id));
const tick = job<{}>("tick", (_, { id }) => effect(id));

const numbers = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({ number: from + index }));
const idsOf = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id);

async function enqueueAll(number: number): Promise<Batch> {
  const plainIds = await plain.enqueueMany(numbers(number, 8));
  const urgent = await plain.enqueueMany(numbers(number, 2), { priority: "high" });
  const patient = await plain.enqueueMany(numbers(number, 2), { priority: "low" });
  const later = await Promise.all([1, 5, 10].map((s) => plain.enqueue({ number }, { delay: `${s}s` })));
  const unique = await plain.enqueue({ number }, { unique: `key ${number % 20}`, delay: "400ms" });
  const snoozed = await sleepy.enqueue({ number, until: Date.now() + 1_000 });
  const dead = await dying.enqueue({ number });
  const failing = await Promise.all([flaky.enqueue({ number }), flaky.enqueue({ number }, { delay: "2s" })]);
  const committed = await sql.tx(async (tx) => {
    await tx.write`insert into note (text) values (${String(number)})`;
    return plain.enqueueMany(numbers(number, 3), { tx });
  });
  const limited = await enqueueLimited(number);
  return {
    once: [
      ...idsOf([...plainIds, ...urgent, ...patient, ...later, unique, snoozed, dead, ...committed]),
      ...limited.once,
    ],
    twice: [...idsOf(failing), ...limited.twice],
    never: [await rolledBack(number), await cancelled(number)],
  };
}

async function rolledBack(number: number): Promise<string> {
  let id = "";
  const undone = sql.tx(async (tx) => {
    ({ id } = await never.enqueue({ number }, { tx }));
    throw new Error("changed its mind");
  });
  await undone.catch(() => undefined);
  return id;
}

async function cancelled(number: number): Promise<string> {
  const { id } = await never.enqueue({ number }, { delay: "30s" });
  const answer = await never.cancel(id);
  if (answer !== "cancelled") throw new Error(`a job that waits was to be cancelled, and the answer was ${answer}`);
  return id;
}

/** Fills what is bounded: ids the queue remembers, and dead letters. */
async function fill(moved: number, dead: number): Promise<Batch> {
  const ids: string[] = [];
  const bulk = 1_000;
  for (let from = 0; from < moved; from += bulk) {
    ids.push(...idsOf(await sql.tx((tx) => plain.enqueueMany(numbers(from, bulk), { tx }))));
  }
  for (let from = 0; from < dead; from += bulk) ids.push(...idsOf(await dying.enqueueMany(numbers(from, bulk))));
  return { once: ids, twice: [], never: [] };
}

export default app({
  routes: {
    "/batch/:number": { POST: ({ params }) => enqueueAll(Number(params.number)) },
    "/fill/:moved/:dead": { POST: ({ params }) => fill(Number(params.moved), Number(params.dead)) },
  },
  jobs: [plain, flaky, dying, sleepy, never, tick, ...limitedJobs],
  schedules: [schedule("tick", { every: "1s", catchUp: "all" }, tick, {})],
  migrations: "./migrations",
});
