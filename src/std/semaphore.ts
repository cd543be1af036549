/** So many at a time; the rest wait in order, and beyond a bound nobody waits. */

export class Semaphore {
  readonly #slots: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(slots: number, waitingMax: number) {
    this.#slots = slots;
    this.#waitingMax = waitingMax;
  }

  /** Runs `body` when there is a slot. Throws what `full` makes, at once, where too many wait already. */
  async run<T>(body: () => Promise<T> | T, full: () => Error): Promise<T> {
    if (this.#taken >= this.#slots) {
      if (this.#waiting.length >= this.#waitingMax) throw full();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#taken++;
    try {
      return await body();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken--;
      else next();
    }
  }
}
