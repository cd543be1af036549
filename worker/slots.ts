/** The slots of this worker, shared by its queues. Whoever waits is offered a free one in turn, so that no queue starves another. */

export class Slots {
  readonly max: number;
  #free: number;
  /** Each starts a job if it has one and can take a slot. */
  readonly #users: (() => boolean)[] = [];
  #turn = 0;

  constructor(max: number) {
    this.max = max;
    this.#free = max;
  }

  get used(): number {
    return this.max - this.#free;
  }

  /** Registers a user of slots. `start` begins one job, by a slot it takes, and says whether it did. */
  share(start: () => boolean): void {
    this.#users.push(start);
  }

  take(): boolean {
    if (this.#free === 0) return false;
    this.#free--;
    return true;
  }

  /** Gives a slot back, and offers it to the next in turn. */
  release(): void {
    this.#free++;
    for (let asked = 0; asked < this.#users.length; asked++) {
      this.#turn = (this.#turn + 1) % this.#users.length;
      if (this.#users[this.#turn]!()) return;
    }
  }
}
