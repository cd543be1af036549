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
  /** A dead letter this old is forgotten, in milliseconds. */
  readonly deadLettersAge: number;
  /** Completed and cancelled jobs one queue keeps to be looked at; those that are due to be forgotten first make room. */
  readonly completedMax: number;
  /** How long one is kept where its job does not say, in milliseconds. */
  readonly completedAge: number;
  /** What an enqueue waits for: the store's memory, or a replica that has it too. */
  readonly durability: "memory" | "replicas";
  /** Called on every change of state, for the log. */
  readonly onState?: ((from: QueueState, to: QueueState, reason: string) => void) | undefined;
}

/** Ids that enqueueOnce remembers of one queue, the newest. Whoever repeats one after a crash does so before this many others. */
export const knownJobsMax = 50_000;
/** And how long, for a queue that nobody uses any more. */
export const knownJobsMs = 7 * 86_400_000;
/** Unique keys of one queue that hold for a time; those that end first are forgotten first, by the workers. */
export const throttlesMax = 100_000;
/** Jobs in workers' hands that may be told to stop at a time: every worker reads the list twice a second. */
export const cancellationsMax = 1_000;

/** The error of a queue without room, the same from every driver. */
export function queueFull(queue: string, held: number, wanted: number, jobsMax: number): ScaleError {
  return new ScaleError(
    "queue_full",
    `queue ${queue} holds ${held} jobs and has no room for ${wanted} more: its limit is ${jobsMax}`,
    { hint: "start more workers (scale --role=worker), or find what stopped them" },
  );
}

/** The error of a list of which the first `done` jobs are in the queue. */
export function partlyEnqueued(queue: string, done: number, wanted: number, cause: unknown): unknown {
  if (!(cause instanceof ScaleError)) return cause;
  return new ScaleError(cause.code, `${done} of ${wanted} jobs are in queue ${queue}, then: ${cause.message}`, {
    cause,
    hint: cause.hint,
  });
}

export function tooManyCancellations(queue: string): ScaleError {
  return new ScaleError(
    "overloaded",
    `${cancellationsMax} running jobs of queue ${queue} are being told to stop already, which is the most at a time`,
    { hint: "cancel further ones when these have stopped" },
  );
}
