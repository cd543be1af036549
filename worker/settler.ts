/**
 * Records outcomes in batches: while one round trip is under way, the outcomes of many short jobs gather for the next. A store that
 * is away is asked again until it answers or the worker has gone, each time for the same round: the store knows what it recorded in it.
 * Bounded by the jobs held.
 */
import { log } from "../src/ops/log.ts";
import { fullJitter } from "../src/std/backoff.ts";
import { messageOf } from "../src/std/errors.ts";
import type { Consumer, Settlement } from "../src/store/queue/queue.ts";

interface Pending {
  readonly settlement: Settlement;
  readonly done: (counted: boolean) => void;
}

const batchMax = 500;
const retryMsBase = 50;
const retryMsMax = 1_000;

export class Settler {
  readonly #source: Pick<Consumer, "settle">;
  readonly #gone: AbortSignal;
  #pending: Pending[] = [];
  #busy = false;
  #rounds = 0;

  /** After `gone` nothing is repeated any more. */
  constructor(source: Pick<Consumer, "settle">, gone: AbortSignal) {
    this.#source = source;
    this.#gone = gone;
  }

  /** Resolves with whether the outcome counts: false where the lease was lost, or the store stayed away to the end. */
  settle(settlement: Settlement): Promise<boolean> {
    return new Promise((done) => {
      this.#pending.push({ settlement, done });
      if (!this.#busy) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#busy = true;
    // Whatever else ends in this turn of the loop goes along.
    await new Promise((turn) => setImmediate(turn));
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, batchMax);
      const lost = await this.#record(batch.map(({ settlement }) => settlement));
      for (const { settlement, done } of batch) done(lost !== undefined && !lost.has(settlement.lease.entry));
    }
    this.#busy = false;
  }

  /** The entries that were lost, or undefined where the store never answered. */
  async #record(settlements: readonly Settlement[]): Promise<ReadonlySet<string> | undefined> {
    const round = ++this.#rounds;
    for (let attempt = 1; ; attempt++) {
      try {
        return new Set((await this.#source.settle(settlements, round)).map(({ entry }) => entry));
      } catch (error) {
        if (attempt === 1) log.warn({ jobs: settlements.length }, `outcomes wait to be recorded: ${messageOf(error)}`);
        if (this.#gone.aborted) return undefined;
        await Bun.sleep(retryMsBase + fullJitter(attempt, retryMsBase, retryMsMax));
      }
    }
  }
}
