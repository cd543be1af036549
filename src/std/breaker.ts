/**
 * A circuit breaker: after several failures in a row nothing is tried for a while, then one attempt decides. Pure but for its counters;
 * the clock is an argument.
 *
 *     closed ──failures in a row──▶ open ──openMilliseconds──▶ trial ──success──▶ closed
 *                                    ▲                           └──failure──▶ open
 *
 * Source: Nygard, "Release It!", 2007.
 */

export interface BreakerRules {
  readonly failuresMax: number;
  readonly openMilliseconds: number;
}

export class Breaker {
  readonly #rules: BreakerRules;
  #failures = 0;
  #openUntil = 0;

  constructor(rules: BreakerRules) {
    this.#rules = rules;
  }

  get isClosed(): boolean {
    return this.#failures < this.#rules.failuresMax;
  }

  /** Whether to try now. While it is open, one caller in each period is let through. */
  allows(now: number): boolean {
    if (this.isClosed) return true;
    if (now < this.#openUntil) return false;
    this.#openUntil = now + this.#rules.openMilliseconds;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** True when this failure opens it. */
  failed(now: number): boolean {
    this.#failures++;
    this.#openUntil = now + this.#rules.openMilliseconds;
    return this.#failures === this.#rules.failuresMax;
  }
}
