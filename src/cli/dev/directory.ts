/** A directory that children will write into: found wanting before any is started, who would only warn. Who locks it is dev.ts. */
import { accessSync, constants, mkdirSync } from "node:fs";
import { resolve } from "node:path";

import { messageOf, ScaleError } from "../../std/errors.ts";

/** Makes it if need be and returns its absolute path. Throws configuration_invalid, naming the flag, where nobody can write to it. */
export function writableDirectory(flag: string, directory: string): string {
  const path = resolve(directory);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.W_OK | constants.X_OK);
    return path;
  } catch (error) {
    throw new ScaleError("configuration_invalid", `${flag} is ${path}, which cannot be written: ${messageOf(error)}`, {
      hint: `${flag}=DIRECTORY that this user can write`,
      cause: error,
    });
  }
}
