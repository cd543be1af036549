/**
 * How much of what is sent to targets may be retries: a share of the requests and a few a second, one budget for all. Without it,
 * targets that fail under load would be given several times the load. Invariant: never below 0 and never above what may be saved up.
 * Source: the retry budget of Finagle (com.twitter.finagle.service.RetryBudget), as a bucket instead of a window.
 */

export interface RetryBudgetOptions {
  /** Retries for each hundred requests. */
  readonly retryPercentMax: number;
  /** Retries a second that are there without any request. */
  readonly retriesPerSecondMin: number;
}

/** What a retry costs: counted in hundredths, so that a percentage is exact. */
const price = 100;
/** Seconds of `retriesPerSecondMin` that can be saved up: a restart of a target breaks many connections at once. */
const savedSeconds = 10;

export class RetryBudget {
  /** Retries that there was nothing left for. */
  refused = 0;
  readonly #perRequest: number;
  readonly #perMillisecond: number;
  readonly #savedMax: number;
  #saved: number;
  /** When time was last paid for, in milliseconds of the clock. */
  #paidAt: number;

  constructor({ retryPercentMax, retriesPerSecondMin }: RetryBudgetOptions, now: number) {
    this.#perRequest = retryPercentMax;
    this.#perMillisecond = (retriesPerSecondMin * price) / 1_000;
    this.#saved = retriesPerSecondMin * savedSeconds * price;
    this.#savedMax = Math.max(price, this.#saved);
    this.#paidAt = now;
  }

  /** Counts a request. Hot. */
  deposit(): void {
    this.#saved = Math.min(this.#savedMax, this.#saved + this.#perRequest);
  }

  /** Takes one; false if there is none. */
  take(now: number): boolean {
    if (this.left(now) < 1) {
      this.refused++;
      return false;
    }
    this.#saved -= price;
    return true;
  }

  /** Retries that it allows now. */
  left(now: number): number {
    const earned = Math.max(0, now - this.#paidAt) * this.#perMillisecond;
    this.#paidAt = now;
    this.#saved = Math.min(this.#savedMax, this.#saved + earned);
    return Math.floor(this.#saved / price);
  }
}
