// The sides of the queue bench, each in processes of its own: what enqueues, what works, what is left. BullMQ on both runtimes it is used
// with, and ours on both of its drivers.

import { Database } from "bun:sqlite";
import { readFileSync, rmSync } from "node:fs";

import type { Redis } from "ioredis";

import { scaleBinary } from "../../harness/binary.ts";
import { eventually } from "../../harness/eventually.ts";
import type { RedisServer } from "../../harness/redis.ts";
import type { Noted } from "./started.ts";
import { preciseNow, type Task } from "./task.ts";

export interface Ground {
  readonly redis: RedisServer;
  readonly client: Redis;
  readonly directory: string;
}

export interface Side {
  readonly name: string;
  /** Makes room for the next measure. */
  readonly clear: (ground: Ground) => Promise<unknown>;
  readonly url: (ground: Ground) => string;
  /** Jobs that are not completed, delayed ones aside. */
  readonly left: (ground: Ground) => Promise<number> | number;
  readonly command: (task: Task, ground: Ground) => Promise<readonly string[]>;
}

const here = import.meta.dir;
const onRedis = {
  clear: ({ client }: Ground) => client.flushall(),
  url: ({ redis }: Ground) => redis.url,
};
const ours = async (task: Task): Promise<readonly string[]> =>
  task.do === "work"
    ? [
        await scaleBinary(),
        "--role=worker",
        `${here}/entry.ts`,
        `--queue-url=${task.url}`,
        `--concurrency=${task.concurrency}`,
      ]
    : [process.execPath, `${here}/scale_side.ts`, JSON.stringify(task)];

export const scale: Side = {
  ...onRedis,
  name: "scale",
  left: ({ client }) => client.xlen("{scale:q:default}:stream"),
  command: ours,
};

export const sqlite: Side = {
  name: "sqlite",
  clear: async (ground) => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(pathOf(ground) + suffix, { force: true });
  },
  url: (ground) => `file:${pathOf(ground)}`,
  left: (ground) => {
    using database = new Database(pathOf(ground), { readonly: true });
    // A worker that has just started may be bringing the file back to order.
    database.run("PRAGMA busy_timeout = 5000");
    const text = "SELECT coalesce(sum(jobs), 0) AS jobs FROM queue_depth WHERE state IN ('available', 'running')";
    return database.query<{ jobs: number }, []>(text).get()!.jobs;
  },
  command: ours,
};

const pathOf = ({ directory }: Ground) => `${directory}/queue.sqlite`;

const bull = (name: string, program: (task: Task, ground: Ground) => Promise<readonly string[]>): Side => ({
  ...onRedis,
  name,
  left: async ({ client }) => (await client.llen("bull:noop:wait")) + (await client.llen("bull:noop:active")),
  command: program,
});

export const peers: readonly Side[] = [
  bull("BullMQ on Bun", (task) => Promise.resolve([process.execPath, `${here}/bullmq_side.ts`, JSON.stringify(task)])),
  bull("BullMQ on Node", async (task, ground) => ["node", await bundled(ground), JSON.stringify(task)]),
];

/** Node knows no types: BullMQ's side and all it needs in one file of JavaScript. */
async function bundled({ directory }: Ground): Promise<string> {
  const outfile = `${directory}/bullmq_side.mjs`;
  if (await Bun.file(outfile).exists()) return outfile;
  const { outputs, logs } = await Bun.build({ entrypoints: [`${here}/bullmq_side.ts`], target: "node", format: "esm" });
  if (outputs[0] === undefined) throw new Error(`BullMQ's side cannot be bundled: ${logs.join("\n")}`);
  await Bun.write(outfile, outputs[0]);
  return outfile;
}

const task = (side: Side, ground: Ground, more: Partial<Task> & Pick<Task, "do">): Task => ({
  url: side.url(ground),
  jobs: 0,
  concurrency: 1,
  delayedEvery: 0,
  ...more,
});

/** A bench that is killed leaves nobody busy. */
const endsWithUs = ["setpriv", "--pdeathsig=KILL"];

/** Runs what ends by itself; resolves with what it answered. */
export async function ask(side: Side, ground: Ground, what: Partial<Task> & Pick<Task, "do">): Promise<number> {
  const command = await side.command(task(side, ground, what), ground);
  const child = Bun.spawn([...endsWithUs, ...command], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${side.name} failed to ${what.do}`);
  return Number(text.trim().split("\n").at(-1));
}

/** A worker, and what it has noted. */
export async function work(side: Side, ground: Ground, concurrency: number) {
  const file = `${ground.directory}/noted-${Math.random()}`;
  const command = await side.command(task(side, ground, { do: "work", concurrency }), ground);
  const child = Bun.spawn([...endsWithUs, ...command], {
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
  while ((await side.left(ground)) > 0) await Bun.sleep(1);
  const endedAt = preciseNow();
  const { firstAt } = await worker.noted();
  await worker.stop();
  return (jobs * 1_000) / (endedAt - firstAt);
}
