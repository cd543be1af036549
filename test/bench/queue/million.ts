// Whether a million jobs that wait, half of them delayed, slow a queue down: rates of the same work on a full queue over those on an empty
// one, in turn. On each, as many jobs are enqueued as are drained after, so that both runs are equally long.

import { cpuSeconds } from "../../harness/proc.ts";
import { ask, type Ground, scale, work } from "./sides.ts";
import { preciseNow } from "./task.ts";

export interface Rates {
  readonly enqueue: number;
  readonly drain: number;
  /** CPU time of Redis for a job, from its enqueueing to its outcome: what a full queue may make dearer, whatever else the machine does. */
  readonly cpu: number;
}

const waiting = 1_000_000;
const jobs = 200_000;
/** Of the drain, what is not measured: a worker that has just begun, and one that runs out of jobs. */
const edge = 20_000;

/** Full over empty, of each round. */
export async function millionWaiting(ground: Ground, rounds: number): Promise<readonly Rates[]> {
  const ratios: Rates[] = [];
  for (let round = 0; round < rounds; round++) {
    const empty = await rates(ground, 0);
    const full = await rates(ground, waiting);
    ratios.push({
      enqueue: full.enqueue / empty.enqueue,
      drain: full.drain / empty.drain,
      cpu: full.cpu / empty.cpu,
    });
  }
  return ratios;
}

async function rates(ground: Ground, before: number): Promise<Rates> {
  await scale.clear(ground);
  if (before > 0) await ask(scale, ground, { do: "fill", jobs: before, delayedEvery: 2 });
  const cpuBefore = cpuSeconds(ground.redis.pid());
  const enqueue = await ask(scale, ground, { do: "enqueue", jobs, concurrency: 100 });
  const there = await scale.left(ground);
  const worker = await work(scale, ground, 100);
  const startedAt = await passes(ground, there - edge);
  const endedAt = await passes(ground, there - jobs + edge);
  const cpu = (cpuSeconds(ground.redis.pid()) - cpuBefore) / jobs;
  await worker.stop();
  return { enqueue, drain: ((jobs - 2 * edge) * 1_000) / (endedAt - startedAt), cpu };
}

/** When so many were left. */
async function passes(ground: Ground, left: number): Promise<number> {
  while ((await scale.left(ground)) > left) await Bun.sleep(1);
  return preciseNow();
}
