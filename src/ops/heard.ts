/**
 * What several processes have said of themselves, each the last it said, so that sums of it never go backwards: one that does not
 * answer counts with what it said before, and of one that has ended there remains what `remains` makes of it. Only a process that
 * runs is heard: what comes after its end is in the remains already, or lost. Bounded by the number of processes that run.
 */

export class Heard<T> {
  readonly #remains: (before: T | undefined, last: T) => T;
  readonly #running = new Map<number, T | undefined>();
  #ended: T | undefined;

  /** `remains` adds what stays of a process that ended, which had said `last`, to what there was `before`. */
  constructor(remains: (before: T | undefined, last: T) => T) {
    this.#remains = remains;
  }

  started(pid: number): void {
    this.#running.set(pid, undefined);
  }

  heard(pid: number, said: T): void {
    if (this.#running.has(pid)) this.#running.set(pid, said);
  }

  ended(pid: number): void {
    const last = this.#running.get(pid);
    this.#running.delete(pid);
    if (last !== undefined) this.#ended = this.#remains(this.#ended, last);
  }

  /** Of those that run, and last what remains of the others. */
  all(): readonly T[] {
    return [...this.#running.values(), this.#ended].filter((said) => said !== undefined);
  }
}
