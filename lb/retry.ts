/** Whether a request that failed may be sent to another target. Pure: the caller acts. */
import { isSafe, length, type RequestHead } from "../src/wire/message.ts";

/** Why an attempt came to nothing. */
export type Failure =
  /** Nothing was sent: any request may go elsewhere. */
  | "connect"
  /** The connection ended before the first byte of a response: nobody knows how far the target came with it. */
  | "unanswered"
  /** A response had begun. */
  | "begun";

export interface Attempts {
  readonly made: number;
  readonly retriesMax: number;
}

/** Only what was not sent, or is of a method without effect (RFC 9110 §9.2.2) and has no body, which would be gone. */
export function mayRetry(failure: Failure, head: RequestHead, attempts: Attempts): boolean {
  if (attempts.made > attempts.retriesMax) return false;
  if (failure === "connect") return true;
  return failure === "unanswered" && isSafe(head.method) && head.bodyLength === length.none;
}
