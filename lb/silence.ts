/** How long a target may be silent, which depends on what it owes: the head of a response, or more of something that has begun. Pure. */
import { ScaleError } from "../src/std/errors.ts";

export interface SilenceLimits {
  /** Milliseconds. */
  readonly firstByteTimeout: number;
  /** Milliseconds; 0: any time. */
  readonly responseIdleTimeout: number;
}

/** `owesHead`: the whole request, or what of it the client sends unasked, is with the target. */
export function silenceMax(limits: SilenceLimits, owesHead: boolean): number {
  if (owesHead) return limits.firstByteTimeout;
  return limits.responseIdleTimeout === 0 ? Number.POSITIVE_INFINITY : limits.responseIdleTimeout;
}

export function silent(target: string, owesHead: boolean): ScaleError {
  const flag = owesHead ? "--first-byte-timeout" : "--response-idle-timeout";
  return new ScaleError("upstream_timeout", `${target}: nothing came within ${flag}`);
}
