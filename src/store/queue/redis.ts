/**
 * Queue on Redis 7.0 or later: the side that enqueues and looks. Taking is redis_consumer.ts, the transitions are redis_scripts.ts,
 * connection and deadlines redis/connection.ts.
 */
import { type OpenRedis, redisAt } from "../redis/access.ts";
import type { Operation, RedisAccess } from "../redis/connection.ts";
import { listOf, numberOf, type ScriptArgument, type ScriptReply, textsOf } from "../redis/script.ts";
import { encodeEnvelope } from "./envelope.ts";
import type { Inspector } from "./inspect.ts";
import { deadLetterOf } from "./lease.ts";
import { knownJobsMax, knownJobsMs, partlyEnqueued, queueFull, type QueueLimits } from "./limits.ts";
import type { Consumer, DeadLetter, NewJob, OnceJob, Queue, QueueState, QueueStats, Ticks } from "./queue.ts";
import { RedisConsumer } from "./redis_consumer.ts";
import { dangersOf } from "./redis_dangers.ts";
import { gateKeys } from "./redis_gate_scripts.ts";
import { RedisInspector } from "./redis_inspector.ts";
import { keysOf, queuesKey } from "./redis_keys.ts";
import { RedisLeases } from "./redis_leases.ts";
import * as once from "./redis_once.ts";
import { Replicas } from "./redis_replicas.ts";
import * as scripts from "./redis_scripts.ts";
import { Room } from "./room.ts";

/** Jobs handed to one script: a few milliseconds in which Redis does nothing else. */
const stepJobsMax = 1_000;
const operationTimeoutMs = 2_000;

export class RedisQueue implements Queue {
  readonly #open: OpenRedis;
  readonly #limits: QueueLimits;
  readonly #redis: RedisAccess;
  readonly #consumers: RedisConsumer[] = [];
  readonly #room = new Room();
  /** Queues that operators can find already, as far as this process knows. */
  readonly #known = new Set<string>();
  readonly inspector: Inspector;
  #replicas: Replicas | undefined;
  #worker: RedisAccess | undefined;

  constructor(url: string, limits: QueueLimits) {
    this.#open = redisAt(url);
    this.#limits = limits;
    this.#redis = this.#open({
      name: `${limits.namespace}-queue`,
      // An enqueue repeated blindly would be a second job with another id.
      onLostReply: "fail",
      operationTimeoutMs,
      onState: limits.onState,
    });
    if (limits.durability === "replicas") this.#replicas = new Replicas(this.#redis);
    this.inspector = new RedisInspector(this.#redis, limits);
  }

  get state(): QueueState {
    return this.#redis.state;
  }

  get place(): string {
    return this.#redis.place;
  }

  async enqueue(queue: string, jobs: readonly NewJob[]): Promise<readonly string[]> {
    const ids: string[] = [];
    for (let start = 0; start < jobs.length; start += stepJobsMax) {
      const step = jobs.slice(start, start + stepJobsMax);
      try {
        ids.push(...(await this.#enqueueStep(queue, step)));
      } catch (error) {
        throw start === 0 ? error : partlyEnqueued(queue, start, jobs.length, error);
      }
    }
    return ids;
  }

  async #enqueueStep(queue: string, jobs: readonly NewJob[]): Promise<string[]> {
    const [only] = jobs;
    if (jobs.length === 1 && isPlain(only!) && this.#room.take(queue)) return [await this.#add(queue, only!)];
    const keys = keysOf(this.#limits.namespace, queue);
    const args: ScriptArgument[] = [this.#limits.jobsMax];
    const areSimple = jobs.every(isSimple);
    for (const job of jobs) {
      args.push(encodeEnvelope(job), Math.max(0, Math.ceil(job.delayMs ?? 0)), job.unique ?? "");
      if (!areSimple) args.push(throttleOf(job));
    }
    const enqueue = areSimple ? scripts.enqueue : scripts.enqueueAny;
    const { delayed, delayedJobs, unique, throttled, throttledJobs } = keys;
    const own = [delayed, delayedJobs, unique, throttled, throttledJobs];
    const reply = await this.#write(delayed, (client) => enqueue(client, [...own, ...gateKeys(keys)], args));
    const [held, ...ids] = textsOf(reply);
    const { jobsMax } = this.#limits;
    if (ids.length === 0) throw queueFull(queue, Number(held), jobs.length, jobsMax);
    this.#room.tell(queue, jobsMax - Number(held) - jobs.length);
    this.#makeKnown(queue);
    return ids.map((id) => `${queue}:${id}`);
  }

  /** What needs no decision of the server's is one command, at a third of a script's price. */
  async #add(queue: string, job: NewJob): Promise<string> {
    const { stream } = keysOf(this.#limits.namespace, queue).streams.normal;
    const envelope = encodeEnvelope(job);
    const id = await this.#write(stream, (client) => client.xadd(stream, "*", "job", envelope));
    return `${queue}:${id}`;
  }

  async enqueueOnce(queue: string, jobs: readonly OnceJob[]): Promise<readonly boolean[]> {
    const isNew: boolean[] = [];
    for (let start = 0; start < jobs.length; start += stepJobsMax) {
      isNew.push(...(await this.#enqueueOnceStep(queue, jobs.slice(start, start + stepJobsMax))));
    }
    return isNew;
  }

  async #enqueueOnceStep(queue: string, jobs: readonly OnceJob[]): Promise<boolean[]> {
    const keys = keysOf(this.#limits.namespace, queue);
    const { delayed, delayedJobs, unique, throttled, throttledJobs, known, ticks } = keys;
    const own = [delayed, delayedJobs, unique, throttled, throttledJobs, known, ticks];
    const args: ScriptArgument[] = [this.#limits.jobsMax, knownJobsMax, knownJobsMs];
    for (const job of jobs) {
      const delayMs = Math.max(0, Math.ceil(job.delayMs ?? 0));
      const { schedule, atMs } = job.tick ?? { schedule: "", atMs: 0 };
      args.push(job.id, encodeEnvelope(job), delayMs, job.unique ?? "", schedule, atMs, throttleOf(job));
    }
    const reply = await this.#write(delayed, (client) => once.enqueueOnce(client, [...own, ...gateKeys(keys)], args));
    if (typeof reply === "number") throw queueFull(queue, reply, jobs.length, this.#limits.jobsMax);
    this.#makeKnown(queue);
    return listOf(reply).map((answer) => answer === 1);
  }

  /** Answers once the jobs are where --queue-durability wants them. `key`: any of the queue's. */
  #write<T extends ScriptReply>(key: string, enqueue: Operation<T>): Promise<T> {
    if (this.#replicas) return this.#replicas.confirmed("enqueue", key, enqueue);
    return this.#redis.run("enqueue", key, enqueue);
  }

  async ticks(queue: string, schedules: readonly string[]): Promise<Ticks> {
    const keys = keysOf(this.#limits.namespace, queue);
    const reply = await this.#redis.run("read ticks", keys.ticks, (client) =>
      once.ticks(client, [keys.ticks], schedules),
    );
    const [nowMs = 0, ...lastMs] = listOf(reply).map(numberOf);
    return { nowMs, lastMs };
  }

  async lead(owner: string, leaseMs: number): Promise<boolean> {
    const reply = await this.#redis.run("lead", this.#leader, (client) =>
      once.lead(client, [this.#leader], [owner, leaseMs]),
    );
    return reply === 1;
  }

  async resign(owner: string): Promise<void> {
    await this.#redis.run("resign", this.#leader, (client) => once.resign(client, [this.#leader], [owner]));
  }

  get #leader(): string {
    return `{${this.#limits.namespace}:leader}`;
  }

  /** Once a process: a worker of the queue does it again and again. */
  #makeKnown(queue: string): void {
    if (this.#known.has(queue)) return;
    this.#known.add(queue);
    const key = queuesKey(this.#limits.namespace);
    this.#redis
      .run("make the queue known", key, (client) => client.sadd(key, queue))
      .catch(() => this.#known.delete(queue));
  }

  consumer(queue: string, owner: string): Consumer {
    const leases = this.keeper(queue, owner);
    const consumer = new RedisConsumer(queue, leases, this.#open, this.#working(), this.#limits);
    this.#consumers.push(consumer);
    return consumer;
  }

  keeper(queue: string, owner: string): RedisLeases {
    return new RedisLeases(owner, keysOf(this.#limits.namespace, queue), this.#working());
  }

  /** The connection of the taking side. Each command is written at once: the note that a job begins must be out before it does. */
  #working(): RedisAccess {
    this.#worker ??= this.#open({
      name: `${this.#limits.namespace}-work`,
      onLostReply: "fail",
      operationTimeoutMs,
      unpipelined: true,
    });
    return this.#worker;
  }

  async stats(queue: string): Promise<QueueStats> {
    const { waiting, delayed, running, dead } = await this.inspector.overview(queue);
    return { waiting, delayed, running, dead };
  }

  async deadLetters(queue: string, max: number): Promise<readonly DeadLetter[]> {
    const keys = keysOf(this.#limits.namespace, queue);
    return this.#redis.run("read dead letters", keys.dead, async (client) => {
      const newest = await client.zrevrange(keys.dead, 0, max - 1, "WITHSCORES");
      const letters: DeadLetter[] = [];
      for (let index = 0; index < newest.length; index += 2) {
        const envelope = await client.hget(keys.deadJobs, newest[index]!);
        if (envelope !== null)
          letters.push(deadLetterOf(`${queue}:${newest[index]}`, Number(newest[index + 1]), envelope));
      }
      return letters;
    });
  }

  async ping(): Promise<void> {
    await this.#redis.everywhere("answer a ping", (client) => client.ping());
  }

  async dangers(): Promise<readonly string[]> {
    const infos = await this.#redis.everywhere("tell how it is set up", (client) => client.info());
    return [...new Set(infos.flatMap(dangersOf))];
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.splice(0).map((consumer) => consumer.close()));
    this.#worker?.close();
    this.#redis.close();
  }
}

function isPlain(job: NewJob): boolean {
  const { delayMs = 0, unique } = job;
  return delayMs <= 0 && unique === undefined && isSimple(job);
}

/** Neither a priority nor gates nor a throttle. */
function isSimple({ priority = "normal", gates = [], throttleMs = 0 }: NewJob): boolean {
  return priority === "normal" && gates.length === 0 && throttleMs === 0;
}

/** For how long its unique key holds in any case, in milliseconds. */
function throttleOf({ unique, throttleMs = 0 }: NewJob): number {
  return unique === undefined ? 0 : Math.ceil(throttleMs);
}
