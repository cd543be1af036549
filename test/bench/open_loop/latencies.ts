// What an open loop measured: one number for each planned request, so that every percentile is exact.

export class Latencies {
  /** Requests that the plan holds. */
  readonly planned: number;
  /** Reason → requests. */
  readonly failures = new Map<string, number>();
  readonly #milliseconds: Float64Array;
  #answered = 0;
  #failed = 0;
  #isSorted = false;

  constructor(planned: number) {
    this.planned = planned;
    this.#milliseconds = new Float64Array(planned);
  }

  get isComplete(): boolean {
    return this.#answered + this.#failed === this.planned;
  }

  answered(milliseconds: number): void {
    this.#milliseconds[this.#answered++] = milliseconds;
    this.#isSorted = false;
  }

  failed(reason: string): void {
    this.#failed++;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  /** Milliseconds within which this share of all planned requests was answered: Infinity where fewer were. */
  percentile(share: number): number {
    if (!this.#isSorted) this.#milliseconds.subarray(0, this.#answered).sort();
    this.#isSorted = true;
    const index = Math.max(0, Math.ceil(share * this.planned) - 1);
    return index < this.#answered ? this.#milliseconds[index]! : Number.POSITIVE_INFINITY;
  }

  describe(): string {
    const percentiles = [0.5, 0.9, 0.99, 0.999, 1].map(
      (share) => `p${share * 100} ${this.percentile(share).toFixed(2)} ms`,
    );
    const failures = [...this.failures].map(([reason, count]) => `${count} × ${reason}`);
    return [`${this.#answered} of ${this.planned} answered`, ...percentiles, ...failures].join("  ");
  }
}
