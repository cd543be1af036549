/**
 * Time limits of the requests in flight. One timer for all instead of one each: requests share the limit, so they expire in the
 * order they came, and a look at the oldest tells whether any has.
 */
export interface Deadline {
  /** Milliseconds of performance.now(). */
  readonly startedAt: number;
  expire(): void;
}

const tickMilliseconds = 100;

export class Deadlines {
  readonly #limit: number;
  readonly #underWay = new Set<Deadline>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** `limit` in milliseconds; a request is expired at most a tick late. */
  constructor(limit: number) {
    this.#limit = limit;
    this.#timer = setInterval(() => this.#tick(), tickMilliseconds);
    this.#timer.unref();
  }

  get size(): number {
    return this.#underWay.size;
  }

  add(deadline: Deadline): void {
    this.#underWay.add(deadline);
  }

  delete(deadline: Deadline): void {
    this.#underWay.delete(deadline);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const latest = performance.now() - this.#limit;
    for (const deadline of this.#underWay) {
      if (deadline.startedAt > latest) return;
      this.#underWay.delete(deadline);
      deadline.expire();
    }
  }
}
