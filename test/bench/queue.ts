// What the queue costs against BullMQ: the same Redis, in turn, round after round, each in processes of its own. Absolute rates are
// noise; the ratio, the median over the rounds, is the result. The bars are here; how things are measured is in queue/.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startRedis } from "../harness/redis.ts";
import { ask, bullmq, drain, type Ground, scale, type Side, work } from "./queue/sides.ts";

export const about = "the queue against BullMQ  [--only=enqueue,drain,latency,memory] [--rounds=3] [--million]";

interface Measure {
  readonly name: string;
  readonly unit: string;
  /** scale's value over BullMQ's must be at least this, or at most, where less is better. */
  readonly ratio: { readonly min: number } | { readonly max: number };
  readonly part: "enqueue" | "drain" | "memory";
  readonly take: (side: Side, ground: Ground) => Promise<number>;
}

const jobsOf = (side: Side, scaled: number, peer: number) => (side === scale ? scaled : peer);

const measures: readonly Measure[] = [
  {
    name: "enqueue, one at a time, 100 in flight",
    unit: "jobs/s",
    ratio: { min: 2 },
    part: "enqueue",
    take: (side, ground) => ask(side, ground, { do: "enqueue", jobs: 40_000, concurrency: 100 }),
  },
  {
    name: "enqueueMany of 1,000",
    unit: "jobs/s",
    ratio: { min: 4 },
    part: "enqueue",
    take: (side, ground) => ask(side, ground, { do: "enqueueMany", jobs: jobsOf(side, 200_000, 50_000) }),
  },
  ...[1, 10, 100].map((concurrency): Measure => ({
    name: `drain, concurrency ${concurrency}`,
    unit: "jobs/s",
    ratio: { min: 3 },
    part: "drain",
    take: (side, ground) => drain(side, ground, jobsOf(side, 120_000, concurrency === 1 ? 6_000 : 30_000), concurrency),
  })),
  { name: "memory of a waiting job", unit: "bytes", ratio: { max: 0.5 }, part: "memory", take: memoryOfJob },
];

async function memoryOfJob(side: Side, ground: Ground): Promise<number> {
  const jobs = 50_000;
  const before = await usedMemory(ground);
  await ask(side, ground, { do: "fill", jobs });
  return ((await usedMemory(ground)) - before) / jobs;
}

async function usedMemory({ client }: Ground): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info("memory"))?.[1]);
}

export async function run(args: readonly string[]): Promise<boolean> {
  const parts = (optionOf(args, "only") ?? "enqueue,drain,latency,memory").split(",");
  const rounds = Number(optionOf(args, "rounds") ?? 3);
  const directory = mkdtempSync(join(tmpdir(), "scale-bench-queue-"));
  const redis = await startRedis();
  const client = redis.client();
  const ground: Ground = { redis, client, directory };
  let holds = true;
  try {
    for (const measure of measures.filter(({ part }) => parts.includes(part))) {
      holds = (await compare(measure, ground, rounds)) && holds;
    }
    if (parts.includes("latency")) holds = (await latency(ground)) && holds;
    if (args.includes("--million")) holds = (await million(ground)) && holds;
  } finally {
    client.disconnect();
    await redis.remove();
    rmSync(directory, { recursive: true, force: true });
  }
  return holds;
}

async function compare({ name, unit, ratio, take }: Measure, ground: Ground, rounds: number): Promise<boolean> {
  const ratios: number[] = [];
  const values: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const [index, side] of [scale, bullmq].entries()) {
      await ground.client.flushall();
      values[index]!.push(await take(side, ground));
    }
    ratios.push(values[0].at(-1)! / values[1].at(-1)!);
  }
  const reached = median(ratios);
  const holds = "min" in ratio ? reached >= ratio.min : reached <= ratio.max;
  const bar = "min" in ratio ? `≥ ${ratio.min}` : `≤ ${ratio.max}`;
  const shown = values.map((each) => Math.round(median(each)).toLocaleString("en").padStart(9));
  say(
    `${name.padEnd(40)} scale ${shown[0]}  bullmq ${shown[1]} ${unit.padEnd(7)} ratio ${reached.toFixed(2)} (${bar})`,
    holds,
  );
  return holds;
}

/** From enqueue to start on an idle queue, one job at a time. */
async function latency(ground: Ground): Promise<boolean> {
  await ground.client.flushall();
  const worker = await work(scale, ground, 10);
  const samples = 500;
  await ask(scale, ground, { do: "trickle", jobs: samples });
  await Bun.sleep(400);
  const waits = (await worker.noted()).waitsMs.toSorted((a, b) => a - b);
  await worker.stop();
  const at = (share: number) => waits[Math.floor(waits.length * share)]!;
  const holds = at(0.5) < 2 && at(0.99) < 10;
  say(
    `${"enqueue → start, idle".padEnd(40)} p50 ${at(0.5).toFixed(2)} ms (< 2)  p99 ${at(0.99).toFixed(2)} ms (< 10)`,
    holds,
  );
  return holds;
}

/** A million waiting, half of them delayed: rates against those of an empty queue. */
async function million(ground: Ground): Promise<boolean> {
  const rate = async (full: boolean) => {
    await ground.client.flushall();
    if (full) await ask(scale, ground, { do: "fill", jobs: 1_000_000, delayedEvery: 2 });
    const enqueue = await ask(scale, ground, { do: "enqueue", jobs: 40_000, concurrency: 100 });
    const worker = await work(scale, ground, 100);
    const { firstAt } = await worker.noted();
    const before = await scale.left(ground.client);
    const readAt = performance.timeOrigin + performance.now();
    const aim = Math.max(0, before - 200_000);
    while ((await scale.left(ground.client)) > aim) await Bun.sleep(2);
    const drained = ((before - aim) * 1_000) / (performance.timeOrigin + performance.now() - readAt);
    await worker.stop();
    return { enqueue, drained, firstAt };
  };
  const empty = await rate(false);
  const full = await rate(true);
  const ratios = [full.enqueue / empty.enqueue, full.drained / empty.drained];
  const holds = ratios.every((ratio) => ratio >= 0.8);
  say(
    `${"a million waiting, half delayed".padEnd(40)} enqueue ${ratios[0]!.toFixed(2)}  drain ${ratios[1]!.toFixed(2)} of an empty queue's (≥ 0.80)`,
    holds,
  );
  return holds;
}

function say(line: string, holds: boolean): void {
  process.stdout.write(`${holds ? "✓" : "✗"} ${line}\n`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function optionOf(args: readonly string[], name: string): string | undefined {
  return args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}
