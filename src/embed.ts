/** Run by the bundler (macros): texts of this repository, put into the binary as data. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Files of `directory` (relative to the repository) that end in `extension`, sorted by name. */
export function embedDirectory(directory: string, extension: string): { name: string; text: string }[] {
  const path = join(import.meta.dir, "..", directory);
  return readdirSync(path)
    .filter((name) => name.endsWith(extension))
    .toSorted()
    .map((name) => ({ name, text: readFileSync(join(path, name), "utf8") }));
}

/** The text of one file (relative to the repository). */
export function embedFile(path: string): string {
  return readFileSync(join(import.meta.dir, "..", path), "utf8");
}
