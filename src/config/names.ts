/** The names of all options, and the one that was probably meant. What they are is options.ts. */
import { closest } from "../std/closest.ts";
import { kebab, type OptionName, options } from "./options.ts";

export const optionNames = Object.keys(options) as readonly OptionName[];

/** What to do about a name that is none, as the sentence that follows. `dashes` stand in front of names where it was written. */
export function didYouMean(name: string, dashes: "--" | ""): string {
  const meant = closest(name, optionNames.map(kebab));
  return meant === undefined ? " Fix: see --help" : ` Did you mean ${dashes}${meant}?`;
}
