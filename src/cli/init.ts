/** `scale init`: an entry, the contract of the module "scale" and a tsconfig, so that an editor is clean with nothing but the binary. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Config } from "../config/options.ts";
import { embedFile } from "../embed.ts" with { type: "macro" };
import { ScaleError } from "../std/errors.ts";

const files: readonly { readonly name: string; readonly text: string }[] = [
  { name: "entry.ts", text: embedFile("src/cli/init/entry.ts") },
  { name: "scale.d.ts", text: embedFile("src/scale.d.ts") },
  { name: "tsconfig.json", text: embedFile("src/cli/init/tsconfig.template.json") },
];

/** Writes into the directory given (default: here). Throws before anything is written where a file exists already. */
export function run(config: Config): Promise<number> {
  const directory = config.argument ?? ".";
  const existing = files.filter(({ name }) => existsSync(join(directory, name)));
  if (existing.length > 0 && !config.force) {
    throw new ScaleError("usage", `${existing.map(({ name }) => join(directory, name)).join(", ")} exist already`, {
      hint: "another directory: scale init DIRECTORY, or --force to overwrite",
    });
  }
  mkdirSync(directory, { recursive: true });
  for (const { name, text } of files) writeFileSync(join(directory, name), text);
  const names = files.map(({ name }) => join(directory, name)).join(", ");
  process.stdout.write(`wrote ${names}\n\nNext: scale dev ${join(directory, "entry.ts")}\n`);
  return Promise.resolve(0);
}
