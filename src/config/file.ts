/** scale.toml: options at the top level, or under [lb], [app], [worker] … for one command only, which beats the top level. */
import { readFileSync } from "node:fs";

import { messageOf } from "../std/errors.ts";
import type { Origin } from "./load.ts";
import { type Command, isRole, isTool } from "./options.ts";

/** Option name in kebab case → its texts. No file asked for is an empty map; one that cannot be read or parsed throws. */
export function readConfigFile(path: string | undefined, command: Command): Map<string, Origin> {
  const entries = new Map<string, Origin>();
  if (path === undefined) return entries;
  const document = parseToml(path);
  const own = document[command];
  for (const [key, value] of Object.entries(document)) {
    if (!isRole(key) && !isTool(key)) entries.set(key, origin(path, key, value));
  }
  if (isTable(own)) for (const [key, value] of Object.entries(own)) entries.set(key, origin(path, key, value));
  return entries;
}

function parseToml(path: string): { readonly [key: string]: unknown } {
  try {
    return Bun.TOML.parse(readFileSync(path, "utf8")) as { readonly [key: string]: unknown };
  } catch (error) {
    throw new Error(`--config names ${path}, which cannot be read: ${messageOf(error)}. Fix: a readable TOML file`, {
      cause: error,
    });
  }
}

function isTable(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function origin(path: string, key: string, value: unknown): Origin {
  if (isTable(value))
    throw new Error(
      `[${key}] in ${path} is not a command. Fix: options at the top level or under [lb], [app], [worker]`,
    );
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return {
    source: path,
    write: `${key} = `,
    texts: values.map((item) => (typeof item === "boolean" ? (item ? "on" : "off") : String(item))),
  };
}
