/** What an application says of a job and is not so: the error, and the durations that are most of it. */
import { messageOf, ScaleError } from "../std/errors.ts";
import { parseDuration } from "../std/units.ts";

/** A duration of the application's. */
export function milliseconds(name: string, what: string, value: string | number): number {
  try {
    return parseDuration(value);
  } catch (error) {
    throw new ScaleError("entry_invalid", `job("${name}"): ${what} is ${JSON.stringify(value)}, ${messageOf(error)}`);
  }
}

/** The error of a job that is none. */
export function invalid(name: string, what: string, expected: string): ScaleError {
  return new ScaleError("entry_invalid", `job("${name}"): ${what} is not valid, expected ${expected}`);
}
