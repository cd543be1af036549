/**
 * Schedules: one worker of the fleet leads, and enqueues what is due.
 *
 *     following ── lease free, or run out ──▶ leading ── draining: resigns ──▶ following
 *         ▲                                      └─ another has it by now ──────▲
 *
 * The lease only keeps the others from doing the same work. What makes a tick fire once is the store: it enqueues a tick and moves the
 * schedule's memory in one step, and only forward. So a leader that was paused for longer than its lease, and goes on believing, can
 * fire nothing twice; and one that dies between two ticks leaves the memory from which the next goes on.
 */
import { log } from "../src/ops/log.ts";
import { collect } from "../src/ops/metrics.ts";
import { gatesOf } from "../src/runtime/job_limits.ts";
import type { ScheduleDefinition } from "../src/runtime/schedule.ts";
import type { OnceJob, Queue } from "../src/store/queue/queue.ts";
import { repeat } from "./repeat.ts";
import { caughtUpMax, dueTicks, nextTick } from "./ticks.ts";

export interface SchedulerOptions {
  readonly queue: Queue;
  readonly schedules: readonly ScheduleDefinition[];
  /** A name no other process uses. */
  readonly owner: string;
  readonly leaseMs: number;
}

const looksPerLease = 3;

/** Runs until `draining`; resolves when it has resigned. */
export async function runSchedules(options: SchedulerOptions, draining: AbortSignal): Promise<void> {
  const scheduler = new Scheduler(options);
  await repeat("firing schedules", draining, () => scheduler.step());
  await scheduler.resign();
}

class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #byQueue = new Map<string, ScheduleDefinition[]>();
  readonly #fired = new Map<string, number>();
  #leads = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    for (const schedule of options.schedules) {
      const { queue } = schedule.target;
      this.#byQueue.set(queue, [...(this.#byQueue.get(queue) ?? []), schedule]);
    }
    collect("worker_leader", (report) => report({}, this.#leads ? 1 : 0));
    collect("schedule_ticks_total", (report) => {
      for (const [schedule, count] of this.#fired) report({ schedule }, count);
    });
  }

  /** Takes or keeps the lead, fires what is due; returns the pause until there is something to do. */
  async step(): Promise<number> {
    const { queue, owner, leaseMs } = this.#options;
    this.#become(await queue.lead(owner, leaseMs));
    const lookMs = leaseMs / looksPerLease;
    if (!this.#leads) return lookMs;
    const fired = await Promise.allSettled(Array.from(this.#byQueue, (group) => this.#fire(...group)));
    // A queue without room must not keep those of other queues waiting.
    for (const one of fired) if (one.status === "rejected") throw one.reason;
    return Math.min(lookMs, ...fired.map((one) => (one.status === "fulfilled" ? one.value : lookMs)));
  }

  /** The next may begin at once. Without the store, the lease runs out. */
  async resign(): Promise<void> {
    if (!this.#leads) return;
    this.#leads = false;
    await this.#options.queue.resign(this.#options.owner).catch(() => undefined);
    log.info({}, "gives up the lead of the schedules");
  }

  #become(leads: boolean): void {
    if (leads !== this.#leads) log.info({}, leads ? "leads the schedules" : "follows: another leads the schedules");
    this.#leads = leads;
  }

  /** Fires what is due of the schedules of one queue; returns the milliseconds until the next tick, by the store's clock. */
  async #fire(name: string, schedules: readonly ScheduleDefinition[]): Promise<number> {
    const { queue } = this.#options;
    const { nowMs, lastMs } = await queue.ticks(
      name,
      schedules.map((schedule) => schedule.name),
    );
    const jobs = schedules.flatMap((schedule, index) => this.#due(schedule, lastMs[index]!, nowMs));
    if (jobs.length > 0) this.#count(jobs, await queue.enqueueOnce(name, jobs));
    return Math.min(...schedules.map(({ rhythm }) => nextTick(rhythm, nowMs) - nowMs));
  }

  #due({ name, rhythm, catchUp, target, payload }: ScheduleDefinition, last: number, now: number): OnceJob[] {
    const ticks = dueTicks(rhythm, catchUp, last, now);
    if (ticks.length === caughtUpMax) {
      log.warn(
        { schedule: name },
        `schedule ${name} catches up with its last ${caughtUpMax} ticks; older ones are lost`,
      );
    }
    return ticks.map((atMs) => ({
      id: `${name}-${atMs}`,
      name: target.name,
      payload,
      priority: target.priority,
      gates: gatesOf(target.name, target.limits, undefined),
      tick: { schedule: name, atMs },
    }));
  }

  #count(jobs: readonly OnceJob[], isNew: readonly boolean[]): void {
    for (const [index, { id, tick }] of jobs.entries()) {
      if (!isNew[index] || tick === undefined) continue;
      log.debug({ schedule: tick.schedule }, `tick ${id} fired`);
      this.#fired.set(tick.schedule, (this.#fired.get(tick.schedule) ?? 0) + 1);
    }
  }
}
