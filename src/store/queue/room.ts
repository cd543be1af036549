/**
 * How many jobs may be enqueued without asking whether there is room: a share of the room there was a moment ago, so that many processes
 * that do the same do not fill it. A queue that is nearly full is asked every time, and its limit is exact.
 */

/** Of the room, for one process. */
const share = 0.05;
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
