/** Whether a request that came to nothing may be sent once more, and where. Pure: the caller acts. */
import type { Progress } from "./stream.ts";

/** Why an attempt came to nothing. */
export type Failure =
  | Progress
  /** There was no connection: nothing was sent. */
  | "connect"
  /** The response has a status that --retry-statuses names. */
  | "status";

export interface Facts {
  /** The method has no effect (RFC 9110 §9.2.1). */
  readonly isSafe: boolean;
  /** What was read of the body is there to be sent again; also where there is none. */
  readonly isBodyKept: boolean;
  /** Attempts so far. */
  readonly made: number;
  readonly retriesMax: number;
  /** Milliseconds left of the time that all attempts have together. */
  readonly left: number;
}

/** Elsewhere: only to a target it was not tried on. Anywhere: failing that, to the same one on a new connection. */
export type Verdict = "no" | "elsewhere" | "anywhere";

/**
 * What was provably not sent may go again whatever the method; what may have been sent only if it has no effect. A failure that is the
 * target's leads to another one; one that is the connection's need not.
 */
export function retryVerdict(failure: Failure, { isSafe, isBodyKept, made, retriesMax, left }: Facts): Verdict {
  if (failure === "begun" || !isBodyKept || made > retriesMax || left <= 0) return "no";
  switch (failure) {
    case "connect":
      return "elsewhere";
    case "unsent":
      return "anywhere";
    case "stale":
      return isSafe ? "anywhere" : "no";
    case "unanswered":
    case "status":
      return isSafe ? "elsewhere" : "no";
  }
}
