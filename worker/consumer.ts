/**
 * One queue's jobs in this worker: taken into a bounded buffer, started as slots come free, settled.
 *
 *      take / reclaim ──▶ buffered ──slot──▶ running ──ending──▶ settling ──▶ gone
 *                            └─ drain, or the heartbeat: handed back ─────────▲
 *
 * Invariants: a job is held from the moment it was taken until its outcome is recorded or its lease is lost; never more than slots
 * and prefetch are held unfinished; a job whose lease is lost gets its signal aborted and records nothing. What is held stands in the
 * table from which the heartbeat renews. Taking is taking.ts, reclaiming what others left reclaim.ts, running executor.ts, deciding
 * retry.ts.
 */
import { log } from "../src/ops/log.ts";
import type { JobDefinition } from "../src/runtime/jobs.ts";
import { messageOf } from "../src/std/errors.ts";
import type { Consumer, Lease, Orders, Token } from "../src/store/queue/queue.ts";
import { execute, ignoredDeadlineMs, type StopReason } from "./executor.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { type Held, Holding } from "./holding.ts";
import { resultOf } from "./job_metrics.ts";
import { count, explain } from "./outcome.ts";
import { Pace } from "./pace.ts";
import { jobsToTake } from "./prefetch.ts";
import { Progress } from "./progress.ts";
import { attemptOf, cancelled, refused, released, type Verdict, verdictOf } from "./retry.ts";
import { Settler } from "./settler.ts";
import type { Slots, SlotUser } from "./slots.ts";
import { type Solitude, solitudeOf } from "./solitude.ts";
import { Starts } from "./starts.ts";
import { Taking } from "./taking.ts";

export interface QueueConsumerOptions {
  readonly source: Consumer;
  readonly queue: string;
  readonly definitions: ReadonlyMap<string, JobDefinition>;
  readonly slots: Slots;
  readonly prefetchMax: number;
  /** Which of the worker's queues this is, in the heartbeat's table. */
  readonly index: number;
  readonly heartbeat: Pick<Heartbeat, "table" | "up" | "stoodStill">;
}

export class QueueConsumer implements SlotUser {
  readonly source: Consumer;
  readonly queue: string;
  readonly taking: Taking;
  readonly #options: QueueConsumerOptions;
  readonly #gone = new AbortController();
  readonly #settler: Settler;
  readonly #starts: Starts;
  readonly #progress: Progress;
  readonly #holding: Holding;
  #claimed: Held[] = [];
  readonly #pace = new Pace();
  #settling = 0;
  #draining = false;
  #paused = false;

  constructor(options: QueueConsumerOptions) {
    const { source, queue, slots, heartbeat } = options;
    this.source = source;
    this.queue = queue;
    this.#options = options;
    this.#holding = new Holding(heartbeat.table, options.index);
    this.#settler = new Settler(source, this.#gone.signal);
    this.#starts = new Starts(source, queue, (lost) => this.lose(lost));
    this.#progress = new Progress(source);
    this.taking = new Taking({
      source,
      queue,
      allowed: () => heartbeat.up,
      room: () => this.room,
      change: () => this.#holding.change(),
      accept: (leases, askedAt) => this.acceptIfOurs(leases, askedAt),
    });
    slots.share(this);
  }

  /** Jobs held. */
  get held(): number {
    return this.#holding.size;
  }

  /** Jobs to take now. */
  get room(): number {
    if (this.#paused) return 0;
    const { slots, prefetchMax } = this.#options;
    return jobsToTake({
      slots: slots.max,
      prefetchMax,
      finishedPerSecond: this.#pace.perSecond,
      held: this.#holding.size - this.#settling,
      buffered: this.#holding.buffer.length,
      settling: this.#settling,
    });
  }

  /** Jobs to take over now: one at least, or a busy fleet would never get to them, while what is held stays within its bound. */
  get reclaimRoom(): number {
    const { slots, prefetchMax, heartbeat } = this.#options;
    if (!heartbeat.up) return 0;
    const heldMax = slots.max + Math.max(1, prefetchMax);
    return Math.max(this.room, this.#holding.size < heldMax ? 1 : 0);
  }

  /** Milliseconds since the store last answered. */
  silentMs(now: number): number {
    const full = this.#holding.size - this.#settling >= this.#options.slots.max;
    return this.taking.silentMs(now, full || this.#paused);
  }

  /** Takes until `draining` is aborted. */
  run(draining: AbortSignal): Promise<void> {
    draining.addEventListener("abort", () => this.#holding.wake(), { once: true });
    return this.taking.run(draining);
  }

  /**
   * Holds what the store answered to a question of that time. Where our loop stood still since, the answer may have lain unread for
   * longer than a lease, and the jobs be another's: whose they are is asked again. Without a heartbeat they go back: nobody would renew them.
   */
  async acceptIfOurs(leases: readonly Lease[], askedAt: number): Promise<void> {
    if (leases.length > 0 && !this.#options.heartbeat.up) return this.source.handBack(leases);
    if (leases.length === 0 || !this.#options.heartbeat.stoodStill(askedAt)) return this.accept(leases);
    const lost = new Set((await this.source.renew(leases)).map(({ entry }) => entry));
    this.accept(leases.filter(({ entry }) => !lost.has(entry)));
  }

  /** Holds what was taken and starts what has a slot. What we run already, and took again, only gets its new token. */
  accept(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const held = this.#holding.add(lease);
      if (held === undefined) continue;
      const solitude = solitudeOf(lease);
      const verdict = refused(lease, this.#options.definitions.get(lease.name));
      if (verdict) void this.#settle(held, verdict, undefined);
      else if (solitude) void this.#runAlone(held, solitude);
      else this.#holding.buffer.push(held);
    }
    if (this.#paused) void this.#handBackWaiting();
    this.#options.slots.fill();
  }

  /** What operators want: what is to stop is told so, and while the queue is paused nothing is begun. */
  obey(orders: Orders): void {
    for (const held of this.#holding.named(orders.cancelled)) {
      if (held.phase === "buffered") void this.#settle(held, cancelled(attemptOf(held.lease) - 1), undefined);
      else if (held.phase === "running") this.#stop(held, "cancelled");
    }
    if (orders.paused === this.#paused) return;
    this.#paused = orders.paused;
    log.info({ queue: this.queue }, `queue ${this.queue} ${orders.paused ? "is paused" : "goes on"}`);
    if (orders.paused) void this.#handBackWaiting();
    else this.#holding.wake();
  }

  /** These went to another worker: their handlers are told, and their outcome will not be recorded. */
  lose(tokens: readonly Token[]): void {
    for (const held of this.#holding.under(tokens)) {
      // One that is being settled learns it from the store.
      if (held.phase === "settling") continue;
      log.warn({ job: held.lease.name, jobId: held.lease.id }, "lease lost to another worker");
      this.#stop(held, "lost");
      this.#holding.forget(held);
    }
  }

  /** The heartbeat has handed these back, unstarted, while our loop was blocked. */
  handedBack(tokens: readonly Token[]): void {
    for (const held of this.#holding.under(tokens)) if (held.phase === "buffered") this.#release(held);
  }

  /**
   * After taking has ended: hands back what has not started, waits for what runs, tells what is left to stop, waits a little more, and
   * hands back the rest. None of it counts as an attempt.
   */
  async drain(timeoutMs: number, afterStopMs: number): Promise<void> {
    this.#draining = true;
    await this.#handBackWaiting();
    await this.#holding.emptyWithin(timeoutMs);
    for (const held of this.#holding.in("running")) this.#stop(held, "stopping");
    await this.#holding.emptyWithin(afterStopMs);
    const left = this.#holding
      .in("running")
      .map((held) => this.#settle(held, released(attemptOf(held.lease)), undefined));
    if (left.length > 0) log.warn({ queue: this.queue, jobs: left.length }, "jobs still running are handed back");
    this.#gone.abort();
    this.#progress.close();
    this.#pace.close();
    await Promise.all(left);
  }

  async #handBackWaiting(): Promise<void> {
    const waiting = this.#holding.in("buffered");
    for (const held of waiting) this.#release(held);
    try {
      await this.source.handBack(waiting.map(({ lease }) => lease));
    } catch (error) {
      log.warn({ queue: this.queue, jobs: waiting.length }, `leases are left to run out: ${messageOf(error)}`);
    }
  }

  /** Sets the oldest buffered job aside, for a slot. */
  claim(): boolean {
    const held = this.#draining || this.#paused ? undefined : this.#holding.buffer.shift();
    if (held) this.#claimed.push(held);
    return held !== undefined;
  }

  /** Starts what was set aside. */
  start(): void {
    if (this.#claimed.length === 0) return;
    const started = this.#claimed.filter((held) => this.#begin(held));
    for (let idle = this.#claimed.length - started.length; idle > 0; idle--) this.#options.slots.release();
    this.#claimed = [];
    // Not awaited: it is on its way, and a job that was lost is told so by its signal.
    void this.#starts.note(started.map(({ lease }) => ({ lease, alone: false })));
    for (const held of started) void this.#run(held).then(() => this.#options.slots.release());
  }

  /** A job whose worker died before: nothing starts beside it for a while. */
  async #runAlone(held: Held, { waitMs, aloneMs }: Solitude): Promise<void> {
    const { slots } = this.#options;
    const { alone, letOthers } = await slots.takeAlone(waitMs);
    const timer = setTimeout(letOthers, aloneMs);
    try {
      if (this.#draining || !this.#begin(held)) return;
      const wants = () => held.phase === "running" && held.stop.reason === undefined && !this.#draining;
      if (await this.#starts.confirm(() => ({ lease: held.lease, alone }), wants)) await this.#run(held);
      // Recorded or not: an outcome takes the start away too.
      else if (held.phase === "running") void this.#settle(held, this.#unbegun(held), undefined);
    } finally {
      clearTimeout(timer);
      slots.release();
      letOthers();
    }
  }

  /** What becomes of a job that was to run, and is not wanted to any more: a handler would wait for a signal that came before it. */
  #unbegun({ lease, stop }: Held): Verdict {
    return stop.reason === "cancelled" ? cancelled(attemptOf(lease) - 1) : released(attemptOf(lease));
  }

  /** False where it is not ours to run any more. */
  #begin(held: Held): boolean {
    const { timeoutMs } = this.#options.definitions.get(held.lease.name)!;
    if (this.#holding.begin(held, Date.now() + timeoutMs + ignoredDeadlineMs)) return true;
    if (held.phase === "buffered") this.#release(held);
    return false;
  }

  async #run(held: Held): Promise<void> {
    const { lease } = held;
    const definition = this.#options.definitions.get(lease.name)!;
    const startedAt = performance.now();
    const attempt = attemptOf(lease);
    const note = (value: string) => held.phase === "running" && this.#progress.note(held.lease, value);
    const ending = await execute(definition, lease, attempt, held.stop, note);
    const durationMs = performance.now() - startedAt;
    const verdict = verdictOf(ending, attempt, definition);
    // Lost or handed back meanwhile: its outcome is somebody else's.
    if (held.stop.reason === "lost") return count(lease, true, "lost", durationMs);
    if (held.phase !== "running") return;
    // Not awaited: the slot is free for the next job while the outcome is on its way.
    void this.#settle(held, verdict, durationMs, ending.kind === "failed" ? ending.error : undefined);
  }

  /** Records a verdict; the job is held, and renewed, until that is done. */
  async #settle(held: Held, verdict: Verdict, durationMs: number | undefined, error?: unknown): Promise<void> {
    const { lease } = held;
    this.#settling++;
    this.#pace.finished();
    this.#holding.end(held);
    this.#progress.forget(lease);
    const counted = await this.#record(held, verdict, durationMs);
    this.#settling--;
    this.#holding.forget(held);
    count(lease, this.#options.definitions.has(lease.name), counted ? resultOf(verdict.to) : "lost", durationMs);
    if ("reason" in verdict && counted) explain(lease, verdict, error);
  }

  /** Whether it counts. Where the lease ran out while the store was away, and we took it anew ourselves, it goes under the new token. */
  async #record(held: Held, verdict: Verdict, durationMs: number | undefined): Promise<boolean> {
    for (;;) {
      const { lease } = held;
      const settlement = verdict.to === "completed" ? { ...verdict, lease, durationMs } : { ...verdict, lease };
      const counted = await this.#settler.settle(settlement);
      if (counted || held.lease === lease) return counted;
    }
  }

  #stop(held: Held, reason: StopReason): void {
    held.stop.abort(reason);
  }

  /** It has not begun, and goes back. */
  #release(held: Held): void {
    this.#holding.forget(held);
    count(held.lease, this.#options.definitions.has(held.lease.name), "released", undefined);
  }
}
