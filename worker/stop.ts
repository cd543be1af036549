/**
 * How a handler is told to stop. An AbortController costs more than everything else that is made for a job, and most handlers never
 * ask for their signal: it is made when somebody does.
 */

export class Stop {
  #reason: unknown;
  #controller: AbortController | undefined;

  /** Why, or undefined while nobody told it. */
  get reason(): unknown {
    return this.#reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The first reason stays. */
  abort(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
