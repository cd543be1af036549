/**
 * Queue in one SQLite file, for the processes of one machine: the side that enqueues and looks. Taking is sqlite_consumer.ts, the
 * transitions are sqlite_statements.ts.
 */
import type { Database } from "bun:sqlite";

import { pathOfFileUrl, SqliteStore } from "../sqlite/database.ts";
import { decodeEnvelope, encodeEnvelope } from "./envelope.ts";
import type { Inspector } from "./inspect.ts";
import { deadLetterOf } from "./lease.ts";
import { partlyEnqueued, queueFull, type QueueLimits } from "./limits.ts";
import type { Consumer, DeadLetter, Keeper, NewJob, OnceJob, Queue, QueueState, QueueStats, Ticks } from "./queue.ts";
import { SqliteConsumer } from "./sqlite_consumer.ts";
import * as depth from "./sqlite_depth.ts";
import * as gates from "./sqlite_gates.ts";
import { SqliteInspector } from "./sqlite_inspector.ts";
import * as kept from "./sqlite_kept.ts";
import * as once from "./sqlite_once.ts";
import * as statements from "./sqlite_statements.ts";

/** Jobs written in one transaction: other processes wait for a few milliseconds. */
const stepJobsMax = 1_000;

export class SqliteQueue implements Queue {
  readonly #store: SqliteStore;
  readonly #limits: QueueLimits;
  readonly inspector: Inspector;

  constructor(url: string, limits: QueueLimits) {
    this.#store = new SqliteStore(
      pathOfFileUrl(url),
      statements.schema + depth.schema + once.schema + kept.schema,
      [...statements.columns, ...gates.columns],
      statements.laterSchema + gates.schema,
    );
    this.#limits = limits;
    this.inspector = new SqliteInspector(this.#store, limits);
  }

  get state(): QueueState {
    return this.#store.open ? "ready" : "closed";
  }

  get place(): string {
    return this.#store.path;
  }

  async enqueue(queue: string, jobs: readonly NewJob[]): Promise<readonly string[]> {
    const name = this.#name(queue);
    return this.#inSteps(queue, jobs, (database, step) => {
      kept.add(database, name, "arrived", step.length);
      return step.map((job) => `${queue}:${insert(database, name, job)}`);
    });
  }

  async enqueueOnce(queue: string, jobs: readonly OnceJob[]): Promise<readonly boolean[]> {
    const name = this.#name(queue);
    const answers = this.#inSteps(queue, jobs, (database, step) => {
      const isNew = step.map((job) => insertOnce(database, name, job));
      kept.add(database, name, "arrived", isNew.filter(Boolean).length);
      return isNew;
    });
    this.#store.run("forget old ids", once.trimKnown);
    return answers;
  }

  /** Each step is a transaction, in which there is room for all that is left. */
  #inSteps<J, A>(queue: string, jobs: readonly J[], take: (database: Database, step: readonly J[]) => A[]): A[] {
    const { jobsMax } = this.#limits;
    const answers: A[] = [];
    for (let start = 0; start < jobs.length; start += stepJobsMax) {
      const takeStep = (database: Database) => {
        const held = depth.countAlive(database, this.#name(queue));
        if (held + jobs.length - start > jobsMax) throw queueFull(queue, held, jobs.length - start, jobsMax);
        return take(database, jobs.slice(start, start + stepJobsMax));
      };
      try {
        answers.push(...this.#store.transaction("enqueue", takeStep));
      } catch (error) {
        throw start === 0 ? error : partlyEnqueued(queue, start, jobs.length, error);
      }
    }
    return answers;
  }

  async ticks(queue: string, schedules: readonly string[]): Promise<Ticks> {
    const name = this.#name(queue);
    return this.#store.transaction("read ticks", (database) => once.ticksOf(database, name, schedules));
  }

  async lead(owner: string, leaseMs: number): Promise<boolean> {
    return this.#store.run("lead", (database) => once.lead(database, this.#limits.namespace, owner, leaseMs));
  }

  async resign(owner: string): Promise<void> {
    this.#store.run("resign", (database) => once.resign(database, this.#limits.namespace, owner));
  }

  consumer(queue: string, owner: string): Consumer {
    return new SqliteConsumer(this.#store, queue, this.#name(queue), owner, this.#limits);
  }

  keeper(queue: string, owner: string): Keeper {
    return this.consumer(queue, owner);
  }

  async stats(queue: string): Promise<QueueStats> {
    return this.#store.run("count jobs", (database) => {
      const { waiting, delayed, running, dead } = depth.depthOf(database, this.#name(queue));
      return { waiting, delayed, running, dead };
    });
  }

  async deadLetters(queue: string, max: number): Promise<readonly DeadLetter[]> {
    type Row = { id: number; at: number; envelope: string };
    return this.#store.run("read dead letters", (database) =>
      database
        .query<Row, [string, number]>(statements.deadLetters)
        .all(this.#name(queue), max)
        .map((row) => deadLetterOf(`${queue}:${idOf(row)}`, row.at, row.envelope)),
    );
  }

  async ping(): Promise<void> {
    this.#store.run("answer a ping", (database) => database.query("SELECT 1").get());
  }

  /** A process that dies loses nothing, and nothing is evicted. */
  dangers(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  async close(): Promise<void> {
    this.#store.close();
  }

  #name(queue: string): string {
    return `${this.#limits.namespace}:${queue}`;
  }
}

interface StoredJob {
  readonly id: number;
  readonly envelope: string;
}

/** A job whose id was chosen has it in its envelope; for any other it is the row's. */
function idOf({ id, envelope }: StoredJob): string {
  return decodeEnvelope(envelope).id ?? String(id);
}

/** The id of the job, or of the one that holds its unique key. */
function insert(database: Database, name: string, job: NewJob): string {
  const holder = holderOf(database, name, job);
  if (holder !== undefined) return holder;
  const id = String(insertRow(database, name, job));
  once.throttle(database, name, job, id);
  return id;
}

/** Whether it is new. A job whose unique key is held is not, and is not asked for again. */
function insertOnce(database: Database, name: string, job: OnceJob): boolean {
  const fresh = once.isNew(database, name, job) && holderOf(database, name, job) === undefined;
  if (!fresh) return false;
  kept.noteEntry(database, name, job.id, insertRow(database, name, job));
  once.throttle(database, name, job, job.id);
  return true;
}

/** The id of the job that holds the unique key of this one. */
function holderOf(database: Database, name: string, { unique, throttleMs = 0 }: NewJob): string | undefined {
  if (unique === undefined) return undefined;
  const holder = database.query<StoredJob, [string, string]>(statements.findUnique).get(name, unique);
  if (holder !== null) return idOf(holder);
  return throttleMs > 0 ? once.throttledBy(database, name, unique) : undefined;
}

function insertRow(database: Database, name: string, job: NewJob): number {
  const delayMs = Math.max(0, Math.ceil(job.delayMs ?? 0));
  const now = Date.now();
  const envelope = encodeEnvelope({ ...job, enqueuedAtMs: now });
  const gateCount = job.gates?.length ?? 0;
  const state = delayMs === 0 && gateCount === 0 ? "available" : "scheduled";
  const { id } = database
    .query<{ id: number }, [string, string, number, string | null, string, string, number]>(statements.enqueue)
    .get(name, state, now + delayMs, job.unique ?? null, envelope, job.priority ?? "normal", gateCount)!;
  if (delayMs === 0 && gateCount > 0) gates.pass(database, name, { id, envelope, passed: 0 });
  return id;
}
