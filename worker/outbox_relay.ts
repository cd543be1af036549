/**
 * Moves what transactions left in the outbox to where it happens: jobs into their queue, invalidations into the cache. Any number of
 * workers do this at once, each with rows of its own (SKIP LOCKED), the oldest first.
 *
 *     look ── nothing ──▶ wait for NOTIFY, or for the next look ──▶ look
 *       └─ rows ─▶ [BEGIN: lock rows ─▶ done in the other store ─▶ delete rows: COMMIT] ──▶ look
 *
 * Jobs and invalidations move apart, each kind by its own batches: a cache that is away holds up no job, and a queue no invalidation.
 *
 * Invariant: a row is deleted only in the transaction that holds it and after the other store has answered. Whoever dies before the
 * COMMIT leaves it to be done again: jobs under the row's id, which the queue takes once; an invalidation twice is one.
 */
import { log } from "../src/ops/log.ts";
import { collect, counter } from "../src/ops/metrics.ts";
import { cache } from "../src/runtime/cache.ts";
import type { Stores } from "../src/runtime/runtime.ts";
import { messageOf, ScaleError } from "../src/std/errors.ts";
import { pause } from "../src/std/pause.ts";
import type { Invalidation, OutboxDepth, OutboxJob, OutboxKind, OutboxRow } from "../src/store/outbox/outbox.ts";
import * as outbox from "../src/store/outbox/outbox.ts";
import type { OnceJob, Queue } from "../src/store/queue/queue.ts";
import { SqlError } from "../src/store/sql/errors.ts";
import type { Sql, SqlSession } from "../src/store/sql/sql.ts";
import { repeat } from "./repeat.ts";

/** Rows of one transaction; with the largest payloads still a bounded piece of memory. */
const batchRowsMax = 250;
/** How late a row can be seen whose announcement nobody heard. */
const lookIntervalMs = 1_000;
/** Where nothing can be heard: the embedded database, and through a PgBouncer. */
const lookIntervalMsDeaf = 100;
const listenAgainMs = 1_000;
const deafMs = 3_600_000;
/** A queue without room is left alone for this long, so that its rows do not stand before those of others. */
const fullQueueMs = 1_000;
const depthIntervalMs = 5_000;
const notMigratedMs = 1_000;

export interface RelayOptions {
  readonly sql: Sql;
  readonly queue: Queue;
  /** Without a cache, invalidations wait for a worker that has one. */
  readonly hasCache: boolean;
  readonly namespace: string;
}

/** Relays until `draining`. Resolves when the last transaction is over. */
export async function relayOutbox(options: RelayOptions, draining: AbortSignal): Promise<void> {
  const relay = new Relay(options);
  await Promise.all([
    ...relay.kinds.map((kind) => repeat(`relaying ${kind}s of the outbox`, draining, () => relay.look(kind, draining))),
    repeat("listening to the outbox", draining, () => relay.listen(draining)),
    repeat("measuring the outbox", draining, () => relay.measure()),
  ]);
}

/** What the relay needs of the stores, where they are all there. */
export function relayOptions({ sql, queue, kv }: Stores, namespace: string): RelayOptions | undefined {
  if (sql === undefined || queue === undefined) return undefined;
  return { sql, queue, hasCache: kv !== undefined, namespace };
}

class Relay {
  readonly kinds: readonly OutboxKind[];
  readonly #options: RelayOptions;
  readonly #relayed = counter("outbox_relayed_total");
  /** Queue → when it may be tried again. */
  readonly #full = new Map<string, number>();
  #isMigrated = false;
  #lookIntervalMs = lookIntervalMsDeaf;
  #depth: OutboxDepth = { rows: 0, oldestSeconds: 0 };
  readonly #news = new Map<OutboxKind, PromiseWithResolvers<void>>();

  constructor(options: RelayOptions) {
    this.#options = options;
    this.kinds = options.hasCache ? ["job", "invalidation"] : ["job"];
    collect("outbox_rows", (report) => report({}, this.#depth.rows));
    collect("outbox_oldest_seconds", (report) => report({}, this.#depth.oldestSeconds));
  }

  /** Moves a batch of one kind; where that was all, waits for news. */
  async look(kind: OutboxKind, draining: AbortSignal): Promise<number> {
    const news = Promise.withResolvers<void>();
    this.#news.set(kind, news);
    const { sql, namespace } = this.#options;
    if (!(await this.#hasTable())) return notMigratedMs;
    // Most looks find nothing, and need no transaction for that.
    const anything = await outbox.hasRows(sql, namespace, kind);
    const moved = anything ? await sql.tx((tx) => this.#move(tx, kind)) : 0;
    if (moved < batchRowsMax) await within(news.promise, this.#lookIntervalMs, draining);
    return 0;
  }

  /** Resolves when the connection is lost: then it is time to listen again. */
  async listen(draining: AbortSignal): Promise<number> {
    const { sql, namespace } = this.#options;
    const heard = (payload: string | undefined) => {
      this.#lookIntervalMs = lookIntervalMs;
      if (payload !== undefined && payload !== namespace) return;
      for (const news of this.#news.values()) news.resolve();
    };
    try {
      await sql.listen(outbox.outboxChannel, heard, draining);
    } catch (error) {
      // Refused: here there is no other session to hear from.
      if (error instanceof SqlError || isMisconfigured(error)) return deafMs;
      throw error;
    } finally {
      this.#lookIntervalMs = lookIntervalMsDeaf;
    }
    return listenAgainMs;
  }

  async measure(): Promise<number> {
    const { sql, namespace } = this.#options;
    if (await this.#hasTable()) this.#depth = await outbox.outboxDepth(sql, namespace);
    return depthIntervalMs;
  }

  /** Before scale migrate has run, nobody can have written anything. */
  async #hasTable(): Promise<boolean> {
    this.#isMigrated ||= await outbox.isMigrated(this.#options.sql);
    return this.#isMigrated;
  }

  /** One batch. Returns how many rows were there; those left in place are as good as moved. */
  async #move(tx: SqlSession, kind: OutboxKind): Promise<number> {
    const { namespace } = this.#options;
    const wanted = { kind, except: this.#fullQueues(), max: batchRowsMax };
    const rows = await outbox.takeRows(tx, namespace, wanted);
    if (rows.length === 0) return 0;
    const { readable, unreadable } = parse(rows);
    const done: string[] = [];
    for (const [queue, jobs] of readable.jobs) done.push(...(await this.#enqueue(queue, jobs)));
    for (const { id, keys, tags } of readable.invalidations) {
      await cache.invalidate({ keys, tags });
      done.push(id);
    }
    await outbox.deleteRows(tx, namespace, done);
    await outbox.setAside(tx, namespace, unreadable);
    this.#relayed.inc({ kind: "invalidation" }, readable.invalidations.length);
    this.#relayed.inc({ kind: "job" }, done.length - readable.invalidations.length);
    return rows.length;
  }

  /** The ids that the queue has now. A queue without room keeps its rows; a store that is away ends the batch. */
  async #enqueue(queue: string, jobs: readonly OnceJob[]): Promise<readonly string[]> {
    try {
      await this.#options.queue.enqueueOnce(queue, jobs);
      return jobs.map(({ id }) => id);
    } catch (error) {
      if (!(error instanceof ScaleError && error.code === "queue_full")) throw error;
      if (!this.#full.has(queue)) log.warn({ queue }, `the outbox waits for room: ${messageOf(error)}`);
      this.#full.set(queue, performance.now() + fullQueueMs);
      return [];
    }
  }

  #fullQueues(): readonly string[] {
    const now = performance.now();
    for (const [queue, until] of this.#full) if (until <= now) this.#full.delete(queue);
    return [...this.#full.keys()];
  }
}

function isMisconfigured(error: unknown): boolean {
  return error instanceof ScaleError && error.code === "configuration_invalid";
}

interface Parsed {
  readonly jobs: ReadonlyMap<string, readonly OnceJob[]>;
  readonly invalidations: readonly (Invalidation & { readonly id: string })[];
}

function parse(rows: readonly OutboxRow[]): { readonly readable: Parsed; readonly unreadable: readonly string[] } {
  const jobs = new Map<string, OnceJob[]>();
  const invalidations: (Invalidation & { readonly id: string })[] = [];
  const unreadable: string[] = [];
  for (const { id, kind, queue, body, delayMs } of rows) {
    try {
      const what = JSON.parse(body) as object;
      if (kind === "invalidation") invalidations.push({ ...(what as Invalidation), id });
      else putInto(jobs, queue!, { ...(what as OutboxJob), id, delayMs: Math.max(0, delayMs ?? 0) });
    } catch (error) {
      log.error({ row: id }, `row ${id} of scale.outbox cannot be read and is set aside: ${messageOf(error)}`);
      unreadable.push(id);
    }
  }
  return { readable: { jobs, invalidations }, unreadable };
}

function putInto(jobs: Map<string, OnceJob[]>, queue: string, job: OnceJob): void {
  const sameQueue = jobs.get(queue);
  if (sameQueue) sameQueue.push(job);
  else jobs.set(queue, [job]);
}

/** Resolves with `news`, after `milliseconds`, or as soon as the signal is aborted. */
async function within(news: Promise<void>, milliseconds: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  void news.then(() => over.abort());
  await pause(milliseconds, AbortSignal.any([over.signal, signal]));
}
