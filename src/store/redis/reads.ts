/**
 * Values read from one Redis: what is asked for in one turn of the loop is one MGET, with one deadline. A GET each costs this process twice
 * as much, even pipelined: a command, its promises and a timer. Not for a Cluster, where the keys of an MGET must have one slot.
 */
import { withDeadline } from "../../std/deadline.ts";

type Value = string | null;

interface Batch {
  readonly budgetMs: number | undefined;
  readonly keys: string[];
  readonly waiting: { readonly resolve: (value: Value) => void; readonly reject: (error: unknown) => void }[];
}

/** Beyond it another MGET begins: Redis does nothing else while it answers one. */
const batchKeysMax = 256;

export class Reads {
  readonly #ask: (keys: readonly string[]) => Promise<readonly Value[]>;
  readonly #late: (budgetMs: number) => Error;
  #open: Batch | undefined;

  /** `ask` is one round trip; its answers are in the order of the keys. `late` says that a budget has passed. */
  constructor(ask: (keys: readonly string[]) => Promise<readonly Value[]>, late: (budgetMs: number) => Error) {
    this.#ask = ask;
    this.#late = late;
  }

  /** The value, or null. Fails as `ask` does, or when `budgetMs` have passed. */
  read(key: string, budgetMs: number | undefined): Promise<Value> {
    const batch = this.#batchOf(budgetMs);
    batch.keys.push(key);
    return new Promise((resolve, reject) => batch.waiting.push({ resolve, reject }));
  }

  /** One with room for a key. Who waits for less long must not wait with others. */
  #batchOf(budgetMs: number | undefined): Batch {
    const open = this.#open;
    if (open !== undefined && open.budgetMs === budgetMs && open.keys.length < batchKeysMax) return open;
    const batch: Batch = { budgetMs, keys: [], waiting: [] };
    // After what this turn of the loop has read from other sockets: their requests ask for something, too.
    setImmediate(() => void this.#send(batch));
    return (this.#open = batch);
  }

  async #send(batch: Batch): Promise<void> {
    const { budgetMs, keys, waiting } = batch;
    if (this.#open === batch) this.#open = undefined;
    try {
      const asked = this.#ask(keys);
      const values = await (budgetMs === undefined ? asked : withDeadline(asked, budgetMs, () => this.#late(budgetMs)));
      for (let index = 0; index < waiting.length; index++) waiting[index]!.resolve(values[index]!);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
