/**
 * The take loop of one queue: asks the store for as many jobs as there is room, for ever, through outages. Also how long the store
 * has been silent, which is what readiness means. What becomes of the jobs is consumer.ts.
 */
import { log } from "../src/ops/log.ts";
import { fullJitter } from "../src/std/backoff.ts";
import { messageOf } from "../src/std/errors.ts";
import { pause } from "../src/std/pause.ts";
import type { Consumer, Lease } from "../src/store/queue/queue.ts";

/** How long one take waits for a job. Also how old the last successful take of an idle worker can be. */
const takeWaitMs = 2_000;
const outageMsBase = 50;
const outageMsMax = 250;
const notAllowedMs = 50;

export interface TakingOptions {
  readonly source: Pick<Consumer, "take">;
  readonly queue: string;
  /** Whether anything may be taken at all. */
  readonly allowed: () => boolean;
  /** Jobs to take now. */
  readonly room: () => number;
  /** Resolves when there may be more room. */
  readonly change: () => Promise<void>;
  /** Holds what was taken; asked for at `askedAt`. */
  readonly accept: (leases: readonly Lease[], askedAt: number) => Promise<void>;
}

export class Taking {
  readonly #options: TakingOptions;
  #takenAt = Number.NEGATIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(options: TakingOptions) {
    this.#options = options;
  }

  /** Milliseconds since the store last answered a take; a worker that is full takes nothing, and goes by its other questions. */
  silentMs(now: number, full: boolean): number {
    return now - (full ? Math.max(this.#takenAt, this.#heardAt) : this.#takenAt);
  }

  /** The store has answered something else than a take. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  /** Takes until `draining` is aborted. Never rejects: a store that is away is asked again. */
  async run(draining: AbortSignal): Promise<void> {
    const { source, queue, allowed, change, accept } = this.#options;
    for (let failures = 0; !draining.aborted;) {
      if (!allowed()) {
        await pause(notAllowedMs, draining);
        continue;
      }
      const room = this.#options.room();
      if (room === 0) {
        await change();
        continue;
      }
      try {
        // The first after a start or an outage does not wait: readiness hangs on its answer.
        const waitMs = this.#takenAt > 0 && failures === 0 ? takeWaitMs : 1;
        const askedAt = performance.now();
        await accept(await source.take(room, waitMs, draining), askedAt);
        this.#takenAt = performance.now();
        if (failures > 0) log.info({ queue }, `queue ${queue} answers again`);
        failures = 0;
      } catch (error) {
        failures++;
        if (failures === 1) log.warn({ queue }, `queue ${queue} cannot be taken from: ${messageOf(error)}`);
        await pause(outageMsBase + fullJitter(failures, outageMsBase, outageMsMax), draining);
      }
    }
  }
}
