/** One load however many ask at the same time in this process. Asking across processes is not here. */

export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>();

  /** Runs `load` unless one for `key` is under way; then joins it, which may be older than what it must see. */
  run(key: string, load: () => Promise<T>): { readonly result: Promise<T>; readonly joined: boolean } {
    const underWay = this.#flights.get(key);
    if (underWay) return { result: underWay, joined: true };
    const result: Promise<T> = load().finally(() => {
      if (this.#flights.get(key) === result) this.#flights.delete(key);
    });
    this.#flights.set(key, result);
    return { result, joined: false };
  }

  /** The next to ask loads anew: what is under way may be older than what they must see. */
  forget(key: string): void {
    this.#flights.delete(key);
  }
}
