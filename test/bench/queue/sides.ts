// The two sides of the queue bench, each in processes of its own before the same Redis: what enqueues, what works, what is left.

import { readFileSync, rmSync } from "node:fs";

import type { Redis } from "ioredis";

import { scaleBinary } from "../../harness/binary.ts";
import { eventually } from "../../harness/eventually.ts";
import type { RedisServer } from "../../harness/redis.ts";
import type { Noted } from "./started.ts";
import { preciseNow, type Task } from "./task.ts";

export interface Side {
  readonly name: string;
  /** Jobs that are not completed, delayed ones aside. */
  readonly left: (client: Redis) => Promise<number>;
  readonly command: (task: Task) => Promise<readonly string[]>;
}

const here = import.meta.dir;
const stream = "{scale:q:default}:stream";

export const scale: Side = {
  name: "scale",
  left: (client) => client.xlen(stream),
  command: async (task) =>
    task.do === "work"
      ? [
          await scaleBinary(),
          "--role=worker",
          `${here}/entry.ts`,
          `--queue-url=${task.url}`,
          `--concurrency=${task.concurrency}`,
        ]
      : [process.execPath, `${here}/scale_side.ts`, JSON.stringify(task)],
};

export const bullmq: Side = {
  name: "bullmq",
  left: async (client) => (await client.llen("bull:noop:wait")) + (await client.llen("bull:noop:active")),
  command: (task) => Promise.resolve([process.execPath, `${here}/bullmq_side.ts`, JSON.stringify(task)]),
};

export interface Ground {
  readonly redis: RedisServer;
  readonly client: Redis;
  readonly directory: string;
}

const task = (ground: Ground, more: Partial<Task> & Pick<Task, "do">): Task => ({
  url: ground.redis.url,
  jobs: 0,
  concurrency: 1,
  delayedEvery: 0,
  ...more,
});

/** Runs what ends by itself; resolves with what it answered. */
export async function ask(side: Side, ground: Ground, what: Partial<Task> & Pick<Task, "do">): Promise<number> {
  const child = Bun.spawn([...(await side.command(task(ground, what)))], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${side.name} failed to ${what.do}`);
  return Number(text.trim().split("\n").at(-1));
}

/** A worker, and what it has noted. */
export async function work(side: Side, ground: Ground, concurrency: number) {
  const file = `${ground.directory}/noted-${Math.random()}`;
  const child = Bun.spawn([...(await side.command(task(ground, { do: "work", concurrency })))], {
    cwd: ground.directory,
    env: { ...process.env, BENCH_FILE: file },
    stdio: ["ignore", Bun.file(`${ground.directory}/${side.name}.log`), "inherit"],
  });
  return {
    noted: () => eventually(() => JSON.parse(readFileSync(file, "utf8")) as Noted, { timeout: 60_000 }),
    stop: async () => {
      child.kill("SIGTERM");
      await child.exited;
      rmSync(file, { force: true });
    },
  };
}

/** Jobs a second from the first start to the last outcome. */
export async function drain(side: Side, ground: Ground, jobs: number, concurrency: number): Promise<number> {
  await ask(side, ground, { do: "fill", jobs });
  const worker = await work(side, ground, concurrency);
  while ((await side.left(ground.client)) > 0) await Bun.sleep(1);
  const endedAt = preciseNow();
  const { firstAt } = await worker.noted();
  await worker.stop();
  return (jobs * 1_000) / (endedAt - firstAt);
}
