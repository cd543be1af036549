// Producers, workers and Redis killed at random under load, then what became of every job that was acknowledged. Which kill comes when
// follows from the seed. What must hold is said where it is called.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import postgres from "postgres";

import { openQueue } from "../../src/store/queue/open.ts";
import { keysOf } from "../../src/store/queue/redis_keys.ts";
import type { Kind } from "./crash/kinds.ts";
import { type CrashRedis, type RedisForm, startCrashRedis } from "./crash/redis.ts";
import { eventually } from "./eventually.ts";
import { createDatabase } from "./postgres.ts";
import { type ScaleProcess, startScale } from "./process.ts";
import { freshNamespace } from "./redis.ts";
import { seeded } from "./seeded.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface CrashOptions {
  readonly seed: number;
  readonly seconds: number;
  /** It goes on until there were so many, which takes a slow machine longer. */
  readonly atLeast?: { readonly kills: number; readonly acknowledged: number };
  readonly redis: RedisForm;
}

export interface Kill {
  readonly what: "producer" | "worker" | "redis";
  /** Of the process that was killed. */
  readonly pid: number;
  /** Milliseconds since the epoch; of Redis, when it was back, or another had taken its place. */
  readonly at: number;
  /** Of Redis, when it was killed. */
  readonly since?: number;
}

export interface Execution {
  readonly job: string;
  readonly kind: Kind;
  /** Its key, or ''. */
  readonly line: string;
  readonly attempt: number;
  readonly pid: number;
  /** Milliseconds since the epoch, as its process saw it. */
  readonly beganAt: number;
}

export interface CrashReport {
  readonly kills: readonly Kill[];
  /** Ids that a producer was told, and when the first and last of each batch before a kill of Redis were. */
  readonly acknowledged: ReadonlySet<string>;
  /** Job → when it had its effect, in milliseconds since the epoch. */
  readonly effects: ReadonlyMap<string, number>;
  readonly executions: readonly Execution[];
  /** Job → how many of its outcomes were counted as completed, as far as its workers could still say so. */
  readonly completions: ReadonlyMap<string, number>;
  readonly left: {
    readonly waiting: number;
    readonly delayed: number;
    readonly running: number;
    readonly dead: number;
    /** What the queue still knows of limits: who has a place, who waits for one, what time is to give back. */
    readonly gated: number;
  };
}

const producersMax = 2;
const workersMax = 3;
/** Longer than a process waits for a core on a machine that is overloaded: a lease lost to that would look like a job run twice. */
const leaseSeconds = 3;
const restMsMax = 120_000;
const gatedMsMax = 5_000;
const entry = join(import.meta.dir, "../scenario/fixtures/effect.ts");

/** Runs it all, lets it come to rest, and tells what became of it. */
export async function crash({ seed, seconds, atLeast, redis: form }: CrashOptions): Promise<CrashReport> {
  const redis = await startCrashRedis(form);
  const databaseUrl = await createDatabase();
  const sql = postgres(databaseUrl, { onnotice: () => undefined });
  await sql`create table effect (job text primary key, at timestamptz default clock_timestamp())`;
  await sql`create table execution (job text, kind text, line text, attempt int, pid int, began float8)`;
  const fleet = new Fleet(redis, databaseUrl);
  try {
    await fleet.start();
    const until = performance.now() + seconds * 1_000;
    const { kills: killsMin = 0, acknowledged: acknowledgedMin = 0 } = atLeast ?? {};
    const kills = await killAtRandom(fleet, seeded(seed), (made) => {
      return performance.now() > until && made >= killsMin && fleet.acknowledged().size >= acknowledgedMin;
    });
    await fleet.stopProducers();
    const left = await fleet.rest();
    const effects = await sql<
      { job: string; at: number }[]
    >`select job, floor(extract(epoch from at) * 1000)::float8 as at from effect`;
    const executions = await sql<
      Execution[]
    >`select job, kind, line, attempt, pid, began as "beganAt" from execution order by began`;
    return {
      kills,
      acknowledged: fleet.acknowledged(),
      effects: new Map(effects.map(({ job, at }) => [job, at])),
      executions,
      completions: fleet.completions(),
      left,
    };
  } finally {
    await fleet.end();
    await sql.end();
    await redis.remove();
  }
}

async function killAtRandom(fleet: Fleet, random: () => number, isEnough: (kills: number) => boolean): Promise<Kill[]> {
  const kills: Kill[] = [];
  while (!isEnough(kills.length)) {
    await Bun.sleep(400 + random() * 900);
    const dice = random();
    const which = random();
    if (dice < 0.25) kills.push(await fleet.killProducer(Math.floor(which * producersMax)));
    else if (dice < 0.8) kills.push(await fleet.killWorker(Math.floor(which * workersMax)));
    else kills.push(await fleet.killRedis(which * 400));
  }
  return kills;
}

class Fleet {
  readonly #redis: CrashRedis;
  readonly #databaseUrl: string;
  readonly #namespace = freshNamespace();
  readonly #file = join(temporaryDirectory("crash"), "acknowledged");
  readonly #workers: ScaleProcess[] = [];
  readonly #gone: ScaleProcess[] = [];
  readonly #producers: Bun.Subprocess[] = [];

  constructor(redis: CrashRedis, databaseUrl: string) {
    this.#redis = redis;
    this.#databaseUrl = databaseUrl;
  }

  async start(): Promise<void> {
    writeFileSync(this.#file, "");
    for (let index = 0; index < workersMax; index++) this.#workers[index] = await this.#worker("ready");
    for (let index = 0; index < producersMax; index++) this.#producers[index] = this.#producer();
  }

  async killProducer(index: number): Promise<Kill> {
    const victim = this.#producers[index]!;
    victim.kill("SIGKILL");
    await victim.exited;
    this.#producers[index] = this.#producer();
    return { what: "producer", pid: victim.pid, at: Date.now() };
  }

  async killWorker(index: number): Promise<Kill> {
    const victim = this.#workers[index]!;
    victim.kill("SIGKILL");
    const at = Date.now();
    await victim.stop();
    this.#gone.push(victim);
    // Not waited for: Redis may be killed while it starts.
    this.#workers[index] = await this.#worker(false);
    return { what: "worker", pid: victim.pid, at };
  }

  async killRedis(awayMs: number): Promise<Kill> {
    const since = Date.now();
    const pid = await this.#redis.kill(awayMs);
    return { what: "redis", pid, since, at: Date.now() };
  }

  async stopProducers(): Promise<void> {
    for (const producer of this.#producers) producer.kill("SIGKILL");
    await Promise.all(this.#producers.map((producer) => producer.exited));
  }

  /** Waits until nothing is left to do. */
  async rest(): Promise<CrashReport["left"]> {
    const queue = openQueue(this.#redis.url, { namespace: this.#namespace });
    const { waiting, delayed, running, dead } = await eventually(
      async () => {
        const now = await queue.inspector.overview("default");
        return now.waiting + now.parked + now.delayed + now.running === 0 ? now : undefined;
      },
      { timeout: restMsMax, what: "every job's outcome" },
    );
    await queue.close();
    return { waiting, delayed, running, dead, gated: await this.#gated() };
  }

  /**
   * Asked until it is nothing, for a moment: time gives places back. Not for so long that workers tidy, which would hide a place that is
   * not given back. They do so when they start, and twice a minute.
   */
  async #gated(): Promise<number> {
    const client = await this.#redis.client();
    const { gated, places, windows, parked, parkedJobs } = keysOf(this.#namespace, "default");
    const left = async () => {
      const counts = [client.hlen(gated), client.hlen(places), client.zcard(windows), client.zcard(parked)];
      return (await Promise.all([...counts, client.hlen(parkedJobs)])).reduce((sum, count) => sum + count);
    };
    await eventually(async () => (await left()) === 0, { timeout: gatedMsMax }).catch(() => undefined);
    const last = await left();
    client.disconnect();
    return last;
  }

  acknowledged(): ReadonlySet<string> {
    return new Set(readFileSync(this.#file, "utf8").split("\n").filter(Boolean));
  }

  /** From the lines that workers wrote. One that was killed took those of its last second along. */
  completions(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const worker of [...this.#gone, ...this.#workers]) {
      for (const line of worker.log()) {
        if (!line.includes('"result":"completed"')) continue;
        const { jobId } = JSON.parse(line) as { jobId: string };
        counts.set(jobId, (counts.get(jobId) ?? 0) + 1);
      }
    }
    return counts;
  }

  async end(): Promise<void> {
    await this.stopProducers();
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #worker(ready: "ready" | false): Promise<ScaleProcess> {
    return startScale(
      [
        "--role=worker",
        entry,
        `--namespace=${this.#namespace}`,
        `--queue-url=${this.#redis.url}`,
        "--concurrency=4",
        `--job-lease=${leaseSeconds}s`,
      ],
      { ready, env: { DATABASE_URL: this.#databaseUrl }, scope: "file" },
    );
  }

  #producer(): Bun.Subprocess {
    const program = join(import.meta.dir, "crash/producer.ts");
    const { url, durability } = this.#redis;
    return Bun.spawn(
      ["setpriv", "--pdeathsig=KILL", process.execPath, program, url, this.#namespace, this.#file, durability],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
  }
}
