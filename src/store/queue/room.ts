/**
 * How many jobs may be enqueued without asking whether there is room: a share of the room there was a moment ago, so small that many
 * processes that do the same do not fill it. A queue that is nearly full is asked every time.
 *
 * Bound: each process may add what it was told of within the last second, whatever the others did since. So N of them pass the limit by
 * N × share of the room of that time at the most, 4 % for twenty; by nothing where they all go on enqueuing, and N × share ≤ 1.
 */

/** Of the room, for one process. Of the smallest room it is still twenty jobs, so asking costs little. */
const share = 1 / 500;
const roomMin = 10_000;
const ageMsMax = 1_000;

export class Room {
  readonly #free = new Map<string, { jobs: number; readonly toldAt: number }>();

  /** The store has said how much room there is. */
  tell(queue: string, room: number): void {
    this.#free.set(queue, { jobs: room < roomMin ? 0 : room * share, toldAt: performance.now() });
  }

  /** Whether there is room for one more, which is taken. False: ask the store. */
  take(queue: string): boolean {
    const free = this.#free.get(queue);
    if (free === undefined || free.jobs < 1 || performance.now() - free.toldAt > ageMsMax) return false;
    free.jobs--;
    return true;
  }
}
