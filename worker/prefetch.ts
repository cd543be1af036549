/**
 * How many jobs a worker may ask for. Pure.
 *
 * Prefetched jobs keep slots busy while a round trip is under way, and nobody else can run them meanwhile. So a worker holds, beyond
 * its slots, about what it finishes in half a second: everything for jobs of microseconds, nothing for jobs of minutes.
 */

export interface Load {
  /** Jobs run at a time. */
  readonly slots: number;
  /** Most jobs held beyond the slots. */
  readonly prefetchMax: number;
  /** Jobs finished in the last second. */
  readonly finishedPerSecond: number;
  /** Taken and not finished. */
  readonly held: number;
  /** Of those, waiting for a slot. */
  readonly buffered: number;
  /** Finished, their outcome not recorded yet. Bounded too: while a store is away nothing more is begun. */
  readonly settling: number;
}

/** Of the prefetch, what is still in the buffer when more is asked for: it lasts for a round trip, and there are few of them. */
const leftShare = 1 / 4;

/** Jobs to take now; 0 while a take is not worth its round trip. */
export function jobsToTake(load: Load): number {
  const prefetch = Math.min(load.prefetchMax, Math.floor(load.finishedPerSecond / 2));
  const room = load.slots + prefetch - load.held;
  if (room <= 0 || load.settling > load.slots + prefetch) return 0;
  const starving = load.buffered === 0;
  return starving || room >= prefetch * (1 - leftShare) ? room : 0;
}
