/**
 * How often a client may ask: a token bucket for each client, kept as one number, the time at which it will be full again. Pure but for
 * its table. A bucket that is full is as good as none, so forgetting it loses nothing; one that is not is never forgotten: whoever
 * comes with ever new names, to push out the bucket that holds him back, finds the table full and shares what is left.
 */

export interface RateRule {
  /** Tokens that a full bucket holds. */
  readonly burst: number;
  /** Milliseconds in which one token comes back. */
  readonly millisecondsPerToken: number;
}

/** Clients that have a bucket of their own: some 20 MB where names are long. */
export const bucketsMax = 100_000;
/** Buckets that all others share, by a hash nobody outside knows. */
const sharedBuckets = 1_024;
/** Shortest pause between two looks for buckets that are full again, in a table that has no room. */
const sweepMilliseconds = 1_000;

export class RateLimit {
  readonly #rule: RateRule;
  readonly #bucketsMax: number;
  /** Client → when its bucket will be full, in milliseconds of the clock. */
  readonly #fullAt = new Map<string, number>();
  readonly #sharedFullAt = new Float64Array(sharedBuckets);
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(rule: RateRule, most = bucketsMax) {
    this.#rule = rule;
    this.#bucketsMax = most;
  }

  get buckets(): number {
    return this.#fullAt.size;
  }

  /** Takes a token of `client`. Returns 0, or in how many milliseconds there will be one. */
  take(client: string, now: number): number {
    const own = this.#fullAt.get(client);
    if (own === undefined && !this.#hasRoom(now)) return this.#takeShared(client, now);
    const after = this.#after(own ?? 0, now);
    const wait = this.#waitFor(after, now);
    if (wait === 0) this.#fullAt.set(client, after);
    return wait;
  }

  #takeShared(client: string, now: number): number {
    const index = Bun.hash.xxHash32(client, this.#seed) % sharedBuckets;
    const after = this.#after(this.#sharedFullAt[index]!, now);
    const wait = this.#waitFor(after, now);
    if (wait === 0) this.#sharedFullAt[index] = after;
    return wait;
  }

  /** When a bucket will be full that loses one token now. */
  #after(fullAt: number, now: number): number {
    return Math.max(fullAt, now) + this.#rule.millisecondsPerToken;
  }

  #waitFor(fullAt: number, now: number): number {
    return Math.max(0, fullAt - now - this.#rule.burst * this.#rule.millisecondsPerToken);
  }

  #hasRoom(now: number): boolean {
    if (this.#fullAt.size < this.#bucketsMax) return true;
    if (now - this.#sweptAt < sweepMilliseconds) return false;
    this.#sweptAt = now;
    for (const [client, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(client);
    return this.#fullAt.size < this.#bucketsMax;
  }
}
