/**
 * The slots of this worker, shared by its queues. Free ones are offered in turn, so that no queue starves another; a job whose worker
 * died before gets one alone, so that the next crash has one suspect.
 *
 *      open ──takeAlone──▶ closing ──empty, or late──▶ alone ──let others──▶ open
 *
 * Invariant: while closing or alone nothing starts. What runs already is waited for only so long: a worker full of jobs of an hour must
 * still recover those of another within seconds.
 */

/** A queue that has jobs to start. */
export interface SlotUser {
  /** Sets one job aside, for which a slot is free; false where there is none. */
  claim(): boolean;
  /** Starts what was set aside. */
  start(): void;
}

/** A slot taken while nothing else starts. */
export interface AloneSlot {
  /** Whether nothing else runs either. */
  readonly alone: boolean;
  /** Others may start again. Idempotent; the slot itself is kept until release(). */
  readonly letOthers: () => void;
}

export class Slots {
  readonly max: number;
  #free: number;
  readonly #users: SlotUser[] = [];
  #turn = 0;
  #filling = false;
  #open = true;
  /** Resolved when a slot is released; made by whoever waits for it. */
  #released: PromiseWithResolvers<void> | undefined;
  readonly #alone: (() => void)[] = [];

  constructor(max: number) {
    this.max = max;
    this.#free = max;
  }

  get used(): number {
    return this.max - this.#free;
  }

  share(user: SlotUser): void {
    this.#users.push(user);
  }

  /** Offers what is free, in turn: first each job is chosen, then all begin, which is one message to the store. */
  fill(): void {
    let idle = 0;
    while (this.#open && this.#free > 0 && idle < this.#users.length) {
      this.#turn = (this.#turn + 1) % this.#users.length;
      if (this.#users[this.#turn]!.claim()) {
        this.#free--;
        idle = 0;
      } else idle++;
    }
    for (const user of this.#users) user.start();
  }

  /** Gives a slot back. What else ends in this turn of the microtasks is offered together. */
  release(): void {
    this.#free++;
    this.#released?.resolve();
    this.#released = undefined;
    if (this.#filling) return;
    this.#filling = true;
    queueMicrotask(() => {
      this.#filling = false;
      this.fill();
    });
  }

  /** What runs has `waitMs` to end before the slot is taken beside it. One caller at a time; the others wait for their turn. */
  async takeAlone(waitMs: number): Promise<AloneSlot> {
    while (!this.#open) await new Promise<void>((next) => this.#alone.push(next));
    this.#open = false;
    const late = Bun.sleep(waitMs).then(() => true);
    while (this.used > 0 && !(await Promise.race([late, this.#aRelease().then(() => false)])));
    while (this.#free === 0) await this.#aRelease();
    this.#free--;
    let letOthers = () => this.#reopen();
    return {
      alone: this.used === 1,
      letOthers: () => {
        letOthers();
        letOthers = () => undefined;
      },
    };
  }

  /** First those that waited start, then the next that wants to be alone. */
  #reopen(): void {
    this.#open = true;
    this.fill();
    this.#alone.shift()?.();
  }

  #aRelease(): Promise<void> {
    this.#released ??= Promise.withResolvers();
    return this.#released.promise;
  }
}
