/** What an application says of a job, or of its schedule, and is not so: the error, and the durations that are most of it. */
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

/** Longer ones are told by their length: a key or an id may be about a person. */
const shownCharsMax = 40;

/** The error of a job that is none. */
export function invalid(name: string, what: string, expected: string, got: unknown): ScaleError {
  return new ScaleError("entry_invalid", `job("${name}"): ${what} is ${shown(got)}, expected ${expected}`);
}

/** What an application gave where something else belongs, in few words. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return value.length > shownCharsMax ? `${value.length} characters long` : JSON.stringify(value);
  }
  if (value instanceof Date) return "an invalid Date";
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
