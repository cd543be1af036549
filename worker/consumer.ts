/**
 * One queue's jobs in this worker: taken into a bounded buffer, started as slots come free, settled.
 *
 *      take / reclaim ──▶ buffered ──slot──▶ running ──ending──▶ settling ──▶ gone
 *                            └──────────── drain: handed back ──────────────▲
 *
 * Invariants: a job is held from the moment it was taken until its outcome is recorded or its lease is lost; never more than slots
 * and prefetch are held unfinished; a job whose lease is lost gets its signal aborted and records nothing. Renewing and reclaiming what others
 * left is reclaim.ts, running is executor.ts, deciding is retry.ts.
 */
import { log } from "../src/ops/log.ts";
import type { JobDefinition } from "../src/runtime/jobs.ts";
import { fullJitter } from "../src/std/backoff.ts";
import { messageOf } from "../src/std/errors.ts";
import { pause } from "../src/std/pause.ts";
import type { Consumer, Lease } from "../src/store/queue/queue.ts";
import { execute, type StopReason } from "./executor.ts";
import { countProcessed, type Result, resultOf } from "./job_metrics.ts";
import { jobsToTake } from "./prefetch.ts";
import { attemptOf, postponed, released, type Verdict, verdictBefore, verdictOf } from "./retry.ts";
import { Settler } from "./settler.ts";
import type { Slots } from "./slots.ts";

export interface QueueConsumerOptions {
  readonly source: Consumer;
  readonly queue: string;
  readonly definitions: ReadonlyMap<string, JobDefinition>;
  readonly slots: Slots;
  readonly prefetchMax: number;
}

/** A job in our hands. A lease taken anew by ourselves replaces the old one. */
interface Held {
  lease: Lease;
  readonly stop: AbortController;
  phase: "buffered" | "running" | "settling" | "gone";
}

/** How long one take waits for a job. Also how old the last successful take of an idle worker can be. */
const takeWaitMs = 2_000;
const outageMsBase = 50;
const outageMsMax = 500;
const rateWindowMs = 250;

export class QueueConsumer {
  readonly source: Consumer;
  readonly queue: string;
  readonly #definitions: ReadonlyMap<string, JobDefinition>;
  readonly #slots: Slots;
  readonly #prefetchMax: number;
  readonly #gone = new AbortController();
  readonly #settler: Settler;
  readonly #held = new Map<string, Held>();
  readonly #buffer: Held[] = [];
  readonly #rateTimer: ReturnType<typeof setInterval>;
  #settling = 0;
  #finished = 0;
  #finishedPerSecond = 0;
  /** Resolved when a job is finished or gone, and when draining begins; made by whoever waits for it. */
  #changed: PromiseWithResolvers<void> | undefined;
  #draining = false;
  #takenAt = Number.NEGATIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor({ source, queue, definitions, slots, prefetchMax }: QueueConsumerOptions) {
    this.source = source;
    this.queue = queue;
    this.#definitions = definitions;
    this.#slots = slots;
    this.#prefetchMax = prefetchMax;
    this.#settler = new Settler(source, this.#gone.signal);
    this.#rateTimer = setInterval(() => this.#measureRate(), rateWindowMs);
    slots.share(() => this.#startNext());
  }

  /** Everything that must be renewed. */
  get leases(): readonly Lease[] {
    return Array.from(this.#held.values(), ({ lease }) => lease);
  }

  /** Jobs to take now. */
  get room(): number {
    return jobsToTake({
      slots: this.#slots.max,
      prefetchMax: this.#prefetchMax,
      finishedPerSecond: this.#finishedPerSecond,
      held: this.#held.size - this.#settling,
      buffered: this.#buffer.length,
      settling: this.#settling,
    });
  }

  /** Jobs to take over now: one at least, or a busy fleet would never get to them, while what is held stays within its bound. */
  get reclaimRoom(): number {
    const heldMax = this.#slots.max + Math.max(1, this.#prefetchMax);
    return Math.max(this.room, this.#held.size < heldMax ? 1 : 0);
  }

  /** Milliseconds since the store last answered a take; a worker that is full takes nothing, and goes by its other questions. */
  silentMs(now: number): number {
    const full = this.#held.size - this.#settling >= this.#slots.max;
    return now - (full ? Math.max(this.#takenAt, this.#heardAt) : this.#takenAt);
  }

  /** The store has answered something else than a take. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  /** Takes until `draining` is aborted. Never rejects: a store that is away is asked again. */
  async run(draining: AbortSignal): Promise<void> {
    draining.addEventListener("abort", () => this.#wake(), { once: true });
    for (let failures = 0; !draining.aborted;) {
      const room = this.room;
      if (room === 0) {
        await this.#change();
        continue;
      }
      try {
        // The first after a start or an outage does not wait: readiness hangs on its answer.
        const waitMs = this.#takenAt > 0 && failures === 0 ? takeWaitMs : 1;
        this.accept(await this.source.take(room, waitMs, draining));
        this.#takenAt = performance.now();
        if (failures > 0) log.info({ queue: this.queue }, `queue ${this.queue} answers again`);
        failures = 0;
      } catch (error) {
        failures++;
        if (failures === 1)
          log.warn({ queue: this.queue }, `queue ${this.queue} cannot be taken from: ${messageOf(error)}`);
        await pause(outageMsBase + fullJitter(failures, outageMsBase, outageMsMax), draining);
      }
    }
  }

  /** Holds what was taken and starts what has a slot. What we run already, and took again, only gets its new token. */
  accept(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const known = this.#held.get(lease.entry);
      if (known) {
        known.lease = lease;
        continue;
      }
      const held: Held = { lease, stop: new AbortController(), phase: "buffered" };
      this.#held.set(lease.entry, held);
      this.#buffer.push(held);
    }
    while (this.#startNext());
  }

  /** These went to another worker: their handlers are told, and their outcome will not be recorded. */
  lose(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const held = this.#held.get(lease.entry);
      // One that is being settled learns it from the store; one taken anew is not lost.
      if (held === undefined || held.lease !== lease || held.phase === "settling") continue;
      log.warn({ job: lease.name, jobId: lease.id }, "lease lost to another worker");
      this.#stop(held, "lost");
      this.#forget(held);
    }
  }

  /**
   * After taking has ended: hands back what has not started, waits for what runs, tells what is left to stop, waits a little more, and
   * hands back the rest. None of it counts as an attempt.
   */
  async drain(timeoutMs: number, afterStopMs: number): Promise<void> {
    this.#draining = true;
    const waiting = this.#buffer.splice(0);
    const handedBack = waiting.map((held) => this.#settle(held, released(attemptOf(held.lease)), undefined));
    await this.#emptyWithin(timeoutMs);
    for (const held of this.#running()) this.#stop(held, "stopping");
    await this.#emptyWithin(afterStopMs);
    const left = this.#running().map((held) => this.#settle(held, released(attemptOf(held.lease)), undefined));
    if (left.length > 0) log.warn({ queue: this.queue, jobs: left.length }, "jobs still running are handed back");
    this.#gone.abort();
    clearInterval(this.#rateTimer);
    await Promise.all([...handedBack, ...left]);
  }

  /** Starts the oldest buffered job if there is one and a slot for it. */
  #startNext(): boolean {
    if (this.#draining || this.#buffer.length === 0 || !this.#slots.take()) return false;
    const held = this.#buffer.shift()!;
    held.phase = "running";
    void this.#run(held).finally(() => this.#slots.release());
    return true;
  }

  async #run(held: Held): Promise<void> {
    const { lease } = held;
    const startedAt = performance.now();
    const [verdict, ran] = await this.#attempt(held);
    const durationMs = ran ? performance.now() - startedAt : undefined;
    // Lost or handed back meanwhile: its outcome is somebody else's.
    if (held.stop.signal.reason === "lost") return this.#count(lease, "lost", durationMs);
    if (held.phase !== "running") return;
    // Not awaited: the slot is free for the next job while the outcome is on its way.
    void this.#settle(held, verdict, durationMs);
  }

  /** The verdict, and whether the handler ran. */
  async #attempt(held: Held): Promise<readonly [Verdict, boolean]> {
    const { lease } = held;
    const attempt = attemptOf(lease);
    if (lease.fault === "garbled") return [{ to: "discarded", attempts: attempt, reason: "it cannot be read" }, false];
    if (lease.fault === "newer") return [postponed(attempt, "a later version of scale wrote it"), false];
    const definition = this.#definitions.get(lease.name);
    if (definition === undefined) return [postponed(attempt, `no job here is named ${lease.name}`), false];
    const before = verdictBefore(attempt, lease.deliveries, definition);
    if (before) return [before, false];
    return [verdictOf(await execute(definition, lease, attempt, held.stop), attempt, definition), true];
  }

  /** Records a verdict; the job is held, and renewed, until that is done. */
  async #settle(held: Held, verdict: Verdict, durationMs: number | undefined): Promise<void> {
    const { lease } = held;
    held.phase = "settling";
    this.#settling++;
    this.#finished++;
    this.#wake();
    const counted = await this.#record(held, verdict);
    this.#settling--;
    this.#forget(held);
    this.#count(lease, counted ? resultOf(verdict.to) : "lost", durationMs);
    if ("reason" in verdict && counted) explain(lease, verdict);
  }

  /** Whether it counts. Where the lease ran out while the store was away, and we took it anew ourselves, it goes under the new token. */
  async #record(held: Held, verdict: Verdict): Promise<boolean> {
    for (;;) {
      const { lease } = held;
      const counted = await this.#settler.settle({ ...verdict, lease });
      if (counted || held.lease === lease) return counted;
    }
  }

  #count(lease: Lease, result: Result, durationMs: number | undefined): void {
    const { queue, id, name } = lease;
    const job = this.#definitions.has(name) ? name : "unknown";
    // The store's clock and ours: a difference of theirs must not become a negative wait.
    const waitMs = Math.max(0, Date.now() - lease.availableAtMs - (durationMs ?? 0));
    countProcessed({ queue, job, id, attempt: attemptOf(lease), result, waitMs, durationMs });
  }

  #running(): Held[] {
    return [...this.#held.values()].filter(({ phase }) => phase === "running");
  }

  #stop(held: Held, reason: StopReason): void {
    held.stop.abort(reason);
  }

  #forget(held: Held): void {
    if (held.phase === "buffered") this.#buffer.splice(this.#buffer.indexOf(held), 1);
    held.phase = "gone";
    this.#held.delete(held.lease.entry);
    this.#wake();
  }

  #wake(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }

  #change(): Promise<void> {
    this.#changed ??= Promise.withResolvers();
    return this.#changed.promise;
  }

  #measureRate(): void {
    this.#finishedPerSecond = (this.#finished * 1_000) / rateWindowMs;
    this.#finished = 0;
  }

  async #emptyWithin(timeoutMs: number): Promise<void> {
    const late = Bun.sleep(timeoutMs);
    let isLate = false;
    void late.then(() => (isLate = true));
    while (this.#held.size > 0 && !isLate) await Promise.race([this.#change(), late]);
  }
}

/** Why a job did not complete. An error is what somebody should look at: a job that nobody will try again. */
function explain(lease: Lease, verdict: Extract<Verdict, { readonly reason: string }>): void {
  const fields = {
    job: lease.name,
    jobId: lease.id,
    attempt: attemptOf(lease),
    reason: verdict.reason,
  };
  if (verdict.to === "discarded") {
    const message = `job ${lease.name} goes to the dead letters: ${verdict.reason}`;
    return verdict.asked ? log.info(fields, message) : log.error(fields, message);
  }
  const message = `job ${lease.name} is ${verdict.to}: ${verdict.reason}`;
  const level = verdict.asked ? "info" : "warn";
  log[level]({ ...fields, delayMs: verdict.delayMs }, message);
}
