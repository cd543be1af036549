/**
 * The phases of an exchange and where its time goes: the names that log and metrics use. A phase that comes again, because a target
 * failed and another was tried, adds to its time. What leads from one to another is exchange.ts'.
 */
import { clock } from "../src/std/clock.ts";
import { Histogram } from "../src/std/histogram.ts";

export type Phase = "choosing" | "queued" | "connecting" | "waiting" | "answering" | "tunnelling" | "done";

/** Milliseconds. */
export class Timings {
  readonly startedAt = clock.now;
  /** Until a target had room. */
  queue = 0;
  /** Until there was a connection to it. */
  connect = 0;
  /** From there until its response began. */
  firstByte = 0;
  #since = clock.now;

  /** The exchange leaves `phase` now. */
  left(phase: Phase): void {
    const took = clock.now - this.#since;
    this.#since = clock.now;
    if (phase === "connecting") this.connect += took;
    else if (phase === "waiting") this.firstByte += took;
    else if (phase === "queued") this.queue += took;
  }

  /** Until there was an answer. */
  get answered(): number {
    return this.queue + this.connect + this.firstByte;
  }

  get total(): number {
    return clock.now - this.startedAt;
  }
}

/** What the requests took that a service's targets were given, in seconds. The queue counts its own waits (wait_queue.ts). */
export class Durations {
  readonly connect = new Histogram();
  readonly firstByte = new Histogram();

  observe({ connect, firstByte }: Timings): void {
    this.connect.observe(connect / 1_000);
    // A request that got no connection waited for no response.
    if (firstByte > 0) this.firstByte.observe(firstByte / 1_000);
  }
}
