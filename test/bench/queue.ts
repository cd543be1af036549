// What the queue costs against BullMQ: the same Redis, in turn, round after round, each in processes of its own. BullMQ runs on Bun and on
// Node, and the faster of the two at a measure is the peer. Absolute rates are noise; the ratio, the median over the rounds, is the result.
// Beside it, without a bar, the same on a SQLite file. The bars are here; how things are measured is in queue/.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startRedis } from "../harness/redis.ts";
import { millionWaiting, type Rates } from "./queue/million.ts";
import { ask, drain, type Ground, peers, scale, type Side, sqlite, work } from "./queue/sides.ts";

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
    if (args.includes("--million")) holds = (await million(ground, rounds)) && holds;
  } finally {
    client.disconnect();
    await redis.remove();
    rmSync(directory, { recursive: true, force: true });
  }
  return holds;
}

async function compare({ name, unit, ratio, part, take }: Measure, ground: Ground, rounds: number): Promise<boolean> {
  const sides = [scale, ...peers, ...(part === "memory" ? [] : [sqlite])];
  const values = new Map<Side, number[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) {
      await side.clear(ground);
      values.get(side)!.push(await take(side, ground));
    }
  }
  const lessIsBetter = "max" in ratio;
  const [peer] = peers.toSorted((a, b) => {
    const [worse, better] = lessIsBetter ? [b, a] : [a, b];
    return median(values.get(better)!) - median(values.get(worse)!);
  });
  const reached = median(values.get(scale)!.map((value, round) => value / values.get(peer!)![round]!));
  const holds = lessIsBetter ? reached <= ratio.max : reached >= ratio.min;
  const bar = lessIsBetter ? `≤ ${ratio.max}` : `≥ ${ratio.min}`;
  const shown = sides.map((side) => `${side.name} ${Math.round(median(values.get(side)!)).toLocaleString("en")}`);
  say(`${name.padEnd(40)} ratio ${reached.toFixed(2)} (${bar})  ${unit}: ${shown.join(", ")}`, holds);
  return holds;
}

/** From enqueue to start on an idle queue, one job at a time. */
async function latency(ground: Ground): Promise<boolean> {
  const redis = await waits(scale, ground);
  const holds = redis.p50 < 2 && redis.p99 < 10;
  const name = "enqueue → start, idle".padEnd(40);
  say(`${name} p50 ${redis.p50.toFixed(2)} ms (< 2)  p99 ${redis.p99.toFixed(2)} ms (< 10)`, holds);
  const file = await waits(sqlite, ground);
  say(`${name} sqlite: p50 ${file.p50.toFixed(2)} ms  p99 ${file.p99.toFixed(2)} ms`, true);
  return holds;
}

async function waits(side: Side, ground: Ground): Promise<{ readonly p50: number; readonly p99: number }> {
  await side.clear(ground);
  const worker = await work(side, ground, 10);
  await ask(side, ground, { do: "trickle", jobs: 500 });
  // What is noted last is written after 200 ms.
  await Bun.sleep(400);
  const sorted = (await worker.noted()).waitsMs.toSorted((a, b) => a - b);
  await worker.stop();
  const at = (share: number) => sorted[Math.floor(sorted.length * share)]!;
  return { p50: at(0.5), p99: at(0.99) };
}

async function million(ground: Ground, rounds: number): Promise<boolean> {
  const ratios = await millionWaiting(ground, rounds);
  const of = (what: keyof Rates) => median(ratios.map((each) => each[what]));
  const [enqueue, drained] = [of("enqueue"), of("drain")];
  const holds = enqueue >= 0.8 && drained >= 0.8;
  const name = "a million waiting, half delayed".padEnd(40);
  say(
    `${name} enqueue ${enqueue.toFixed(2)}  drain ${drained.toFixed(2)} of an empty queue's (≥ 0.80), CPU of Redis ${of("cpu").toFixed(2)}`,
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
