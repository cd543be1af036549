/**
 * How far running jobs say they are, on its way to the store: the newest of each job, all of a queue's together, twice a second at
 * most. What a handler says more often than that nobody could read. Bounded by the jobs that run.
 */
import { log } from "../src/ops/log.ts";
import { messageOf } from "../src/std/errors.ts";
import type { Consumer, Lease } from "../src/store/queue/queue.ts";

interface Note {
  readonly lease: Lease;
  readonly value: string;
}

const intervalMs = 500;

export class Progress {
  readonly #source: Pick<Consumer, "report">;
  /** By entry. */
  #notes = new Map<string, Note>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;
  #sending = false;

  constructor(source: Pick<Consumer, "report">) {
    this.#source = source;
  }

  /** `value` is JSON text. The first after a pause goes at once. */
  note(lease: Lease, value: string): void {
    this.#notes.set(lease.entry, { lease, value });
    this.#sendLater();
  }

  /** It has ended: the store forgets its progress with it. */
  forget({ entry }: Lease): void {
    this.#notes.delete(entry);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#notes.clear();
  }

  #sendLater(): void {
    if (this.#timer !== undefined || this.#sending || this.#notes.size === 0) return;
    const waitMs = Math.max(0, this.#sentAt + intervalMs - performance.now());
    this.#timer = setTimeout(() => void this.#send(), waitMs);
  }

  /** What cannot be sent is not tried again: the next says more. */
  async #send(): Promise<void> {
    this.#timer = undefined;
    this.#sending = true;
    const notes = [...this.#notes.values()];
    this.#notes = new Map();
    try {
      if (notes.length > 0) await this.#source.report(notes);
    } catch (error) {
      log.debug({ jobs: notes.length }, `progress is not recorded: ${messageOf(error)}`);
    }
    this.#sentAt = performance.now();
    this.#sending = false;
    this.#sendLater();
  }
}
