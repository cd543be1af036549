/**
 * The jobs of one queue that this worker holds: from the moment each was taken until its outcome is recorded or its lease lost. Each
 * has its place in the table from which the heartbeat renews. What is done with them is consumer.ts.
 */
import type { Lease, Token } from "../src/store/queue/queue.ts";
import type { LeaseTable } from "./lease_table.ts";
import { Stop } from "./stop.ts";

/** A job in our hands. A lease taken anew by ourselves replaces the old one. */
export interface Held {
  lease: Lease;
  /** In the table. */
  readonly place: number;
  readonly stop: Stop;
  phase: "buffered" | "running" | "settling" | "gone";
}

export class Holding {
  /** Those that wait for a slot, the oldest first. */
  readonly buffer: Held[] = [];
  readonly #table: LeaseTable;
  readonly #queue: number;
  readonly #held = new Map<string, Held>();
  /** Resolved when a job is finished or gone; made by whoever waits for it. */
  #changed: PromiseWithResolvers<void> | undefined;

  /** `queue`: which of the worker's queues this is, in the table. */
  constructor(table: LeaseTable, queue: number) {
    this.#table = table;
    this.#queue = queue;
  }

  get size(): number {
    return this.#held.size;
  }

  /**
   * Holds what was taken. Undefined where we hold it already: it only gets its new token. One that was handed back is new.
   */
  add(lease: Lease): Held | undefined {
    const known = this.#held.get(lease.entry);
    if (known !== undefined && !this.#table.isHandedBack(known.place)) {
      known.lease = inTheSameHands(known.lease, lease);
      this.#table.retoken(known.place, lease);
      return undefined;
    }
    if (known) this.forget(known);
    const place = this.#table.add(this.#queue, lease);
    const held: Held = { lease, place, stop: new Stop(), phase: "buffered" };
    this.#held.set(lease.entry, held);
    return held;
  }

  /** What is held under exactly these tokens. */
  under(tokens: readonly Token[]): Held[] {
    return tokens.flatMap(({ entry, deliveries }) => {
      const held = this.#held.get(entry);
      return held?.lease.deliveries === deliveries ? [held] : [];
    });
  }

  /** What is held of these ids. */
  named(ids: readonly string[]): Held[] {
    if (ids.length === 0) return [];
    const wanted = new Set(ids);
    return [...this.#held.values()].filter(({ lease }) => wanted.has(lease.id));
  }

  in(phase: Held["phase"]): Held[] {
    return [...this.#held.values()].filter((held) => held.phase === phase);
  }

  /** False where it is not ours to run any more: lost, or handed back by the heartbeat. */
  begin(held: Held, deadlineMs: number): boolean {
    if (held.phase !== "buffered" || !this.#table.begin(held.place, deadlineMs)) return false;
    held.phase = "running";
    return true;
  }

  /** Its handler is over, or will not begin; it is held until that is recorded. */
  end(held: Held): void {
    this.#unbuffer(held);
    held.phase = "settling";
    this.#table.end(held.place);
    this.wake();
  }

  /** Once for each. */
  forget(held: Held): void {
    if (held.phase === "gone") return;
    this.#unbuffer(held);
    held.phase = "gone";
    this.#table.free(held.place);
    this.#held.delete(held.lease.entry);
    this.wake();
  }

  #unbuffer(held: Held): void {
    const waits = held.phase === "buffered" ? this.buffer.indexOf(held) : -1;
    if (waits >= 0) this.buffer.splice(waits, 1);
  }

  wake(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }

  /** Resolves when a job is finished or gone, or somebody calls wake(). */
  change(): Promise<void> {
    this.#changed ??= Promise.withResolvers();
    return this.#changed.promise;
  }

  /** Waits until nothing is held, for so long at most. */
  async emptyWithin(timeoutMs: number): Promise<void> {
    const late = Bun.sleep(timeoutMs);
    let isLate = false;
    void late.then(() => (isLate = true));
    while (this.#held.size > 0 && !isLate) await Promise.race([this.change(), late]);
  }
}

/** Nobody else had it meanwhile, so the start that the store has noted since is that of the attempt in our hands, and stands for no death. */
function inTheSameHands(held: Lease, taken: Lease): Lease {
  const { deliveries, starts, alone } = held;
  return taken.deliveries > deliveries + 1 ? taken : { ...taken, starts, alone };
}
