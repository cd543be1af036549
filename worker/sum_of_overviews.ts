/** What the page of several worker processes shows above its queues: slots are theirs together, queues are the same for all. Pure. */
import type { Overview } from "./page/api.ts";

/** Of at least one. */
export function sumOfOverviews(all: readonly Overview[]): Overview {
  const [first] = all;
  if (first === undefined || all.length === 1) return first!;
  const worker = {
    ...first.worker,
    instance: `${all.length} processes`,
    slotsUsed: all.reduce((sum, { worker: { slotsUsed } }) => sum + slotsUsed, 0),
    slotsMax: all.reduce((sum, { worker: { slotsMax } }) => sum + slotsMax, 0),
  };
  return { ...first, worker };
}
