/** How many jobs a second a queue's consumer finishes just now: what decides how many it may hold beyond its slots (prefetch.ts). */

const windowMs = 250;

export class Pace {
  readonly #timer: ReturnType<typeof setInterval>;
  #finished = 0;
  #perSecond = 0;

  constructor() {
    this.#timer = setInterval(() => {
      this.#perSecond = (this.#finished * 1_000) / windowMs;
      this.#finished = 0;
    }, windowMs);
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  finished(): void {
    this.#finished++;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
