/** Whether a request that failed may be sent to another target. Pure: the caller acts. */
import { isSafe, length, type RequestHead } from "../src/wire/message.ts";

/** Why an attempt came to nothing. */
export type Failure =
  /** Nothing was sent: any request may go elsewhere. */
  | "connect"
  /** A pooled connection ended before the first byte of a response: the target had most likely closed it while idle. */
  | "stale"
  /** The target had the request, or part of it. */
  | "sent";

export interface Attempts {
  readonly made: number;
  readonly retriesMax: number;
}

/** A retry must be provably without effect, or of a method that has none (RFC 9110 §9.2.2), and the body still to hand. */
export function mayRetry(failure: Failure, head: RequestHead, attempts: Attempts): boolean {
  if (attempts.made > attempts.retriesMax) return false;
  if (failure === "connect") return true;
  return failure === "stale" && isSafe(head.method) && head.bodyLength === length.none;
}
