/** The one reader of the process's environment. */
import type { Environment } from "./load.ts";
import { environmentName, type Option, type OptionName, options } from "./options.ts";

/** The environment this process was started with. */
export function environment(): Environment {
  return process.env;
}

/** For another process of this same command: secrets travel in it as they came. */
export function ownEnvironment(): { [name: string]: string } {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/**
 * The environment for a role that this process starts: its own, without a single option, so that what a child runs with is only what
 * it was given; then `values`, which is how secrets travel (never in argv, where ps shows them).
 */
export function childEnvironment(values: { readonly [N in OptionName]?: string }): { [name: string]: string } {
  const bare = new Set(
    Object.values(options as { readonly [name: string]: Option }).flatMap((option) => option.env ?? []),
  );
  const child: { [name: string]: string } = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith("SCALE_") && !bare.has(name)) child[name] = value;
  }
  for (const [name, value] of Object.entries(values)) child[environmentName(name)] = value;
  return child;
}
