// The soak's jobs with limits: each attempt notes from when to when it ran. What must hold of that is kept.ts.

import { job, sql } from "scale";

import { bursts, type Kind, limits, lines, throttledFor } from "./limits.ts";

type Limited = { readonly line: string; readonly failing?: boolean };

export const effect = (id: string) =>
  sql.write`insert into effect (job) values (${id}) on conflict (job) do update set times = effect.times + 1`;

const workMs = 20;

const limited = (kind: Kind) =>
  job<Limited>(
    kind,
    async ({ line, failing = false }, { id, attempt }) => {
      const began = Date.now();
      await effect(id);
      await Bun.sleep(workMs);
      await sql.write`insert into run (job, kind, line, began, ended) values (${id}, ${kind}, ${line}, ${began}, ${Date.now()})`;
      if (failing && attempt === 1) throw new Error("the first attempt always fails");
    },
    { ...limits[kind], backoff: { base: "100ms", max: "1s" } },
  );

const inOrder = limited("in_order");
const few = limited("few");
const rated = limited("rated");
const throttled = limited("throttled");

export const limitedJobs = [inOrder, few, rated, throttled];

/** Those of one batch: ids of jobs that run once, and of those that run twice. */
export async function enqueueLimited(number: number): Promise<{ readonly once: string[]; readonly twice: string[] }> {
  const key = ({ line }: Limited) => line;
  const line = `line ${number % lines}`;
  const failing = await inOrder.enqueue({ line, failing: true }, { key: line });
  const behind = await inOrder.enqueueMany([{ line }, { line }], { key });
  const once = [...behind, await throttled.enqueue({ line: "" }, { unique: { key: "throttled", per: throttledFor } })];
  if (number % bursts.few.everyBatches === 0) {
    const jobs = Array.from({ length: bursts.few.jobs }, (_, index) => ({ line: `line ${index % 2}` }));
    once.push(...(await sql.tx((tx) => few.enqueueMany(jobs, { tx, key }))));
  }
  if (number % bursts.rated.everyBatches === 0) {
    once.push(...(await rated.enqueueMany(Array.from({ length: bursts.rated.jobs }, () => ({ line: "" })))));
  }
  return { once: once.map(({ id }) => id), twice: [failing.id] };
}
