/** How much a queue may hold, and the error of one without room: the same in every driver. */
import { ScaleError } from "../../std/errors.ts";
import type { QueueState } from "./queue.ts";

export interface QueueLimits {
  /** Prefix of every key. */
  readonly namespace: string;
  /** Jobs one queue holds without an outcome; one more is refused with queue_full. */
  readonly jobsMax: number;
  /** Dead letters one queue keeps; the oldest make room. */
  readonly deadLettersMax: number;
  /** Called on every change of state, for the log. */
  readonly onState?: ((from: QueueState, to: QueueState, reason: string) => void) | undefined;
}

/** Ids that enqueueOnce remembers of one queue, the newest. Whoever repeats one after a crash does so before this many others. */
export const knownJobsMax = 50_000;
/** And how long, for a queue that nobody uses any more. */
export const knownJobsMs = 7 * 86_400_000;

/** The error of a queue without room, the same from every driver. */
export function queueFull(queue: string, held: number, wanted: number, jobsMax: number): ScaleError {
  return new ScaleError(
    "queue_full",
    `queue ${queue} holds ${held} jobs and has no room for ${wanted} more: its limit is ${jobsMax}`,
    { hint: "start more workers (scale --role=worker), or find what stopped them" },
  );
}
