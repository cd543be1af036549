/**
 * Requests that wait for a target to have room, first come first served: whoever makes room calls `advance` at once, so that who comes
 * later finds only what none of these could use (a request that was tried on a target does not go there again). Invariant: bounded in number by `depthMax` and in time by
 * each request's own deadline. When it is full the newest is turned away: those before it have waited, and a client that is told at
 * once can go elsewhere.
 */
import { clock } from "../src/std/clock.ts";
import { Histogram } from "../src/std/histogram.ts";

export interface Waiting {
  /** There is room, perhaps: try again. Whoever still finds none waits again. */
  proceed(): void;
}

export class WaitQueue {
  depthMax = 0;
  shedWhenFull = 0;
  shedAtDeadline = 0;
  /** Seconds that those who left the queue, whichever way, had waited. */
  readonly waits = new Histogram();
  /** Who waits, since when (milliseconds of the clock), oldest first. */
  readonly #waiting = new Map<Waiting, number>();

  get depth(): number {
    return this.#waiting.size;
  }

  /** False: it is full. */
  push(waiting: Waiting): boolean {
    if (this.#waiting.size >= this.depthMax) {
      this.shedWhenFull++;
      return false;
    }
    this.#waiting.set(waiting, clock.now);
    return true;
  }

  /** Takes out one that no longer waits: its deadline has passed, or its client has left. */
  delete(waiting: Waiting): void {
    const since = this.#waiting.get(waiting);
    if (since === undefined) return;
    this.#waiting.delete(waiting);
    this.waits.observe((clock.now - since) / 1_000);
  }

  /** Lets those that wait now go on, the oldest first, while `hasRoom`. */
  advance(hasRoom: () => boolean): void {
    for (let left = this.#waiting.size; left > 0 && hasRoom(); left--) {
      const [oldest] = this.#waiting.keys();
      this.delete(oldest!);
      oldest!.proceed();
    }
  }
}
