/**
 * Several processes are one: a limit of the whole (`divided` in options.ts) is split among them. Each gets at least 1, so a limit
 * below the number of processes is exceeded: a process that may do nothing would refuse whatever the kernel hands it. 0 stays 0.
 */
import { type Config, flagOf, type Option, type OptionName, options } from "./options.ts";

/** The part of `total` that the process at `index` (from 1) of `of` has; the first take the remainder. */
export function partOf(total: number, { index, of }: NonNullable<Config["child"]>): number {
  return Math.min(total, Math.max(1, Math.floor(total / of) + (index <= total % of ? 1 : 0)));
}

/** The limits of the whole that were asked for and are too small for a part each: flag → value. Of the rate limit its burst. */
export function indivisible(config: Config): ReadonlyMap<string, number> {
  const small = (value: unknown): value is number => typeof value === "number" && value > 0 && value < config.processes;
  const found = new Map<string, number>();
  for (const [name, option] of Object.entries<Option>(options)) {
    const value: unknown = config[name as OptionName];
    if (option.divided && config.given.has(name as OptionName) && small(value)) found.set(flagOf(name), value);
  }
  if (small(config.rateLimit?.burst)) found.set("--rate-limit", config.rateLimit.burst);
  return found;
}

/** What one process is to run with: its part of what is divided. */
export function divide(config: Config): Config {
  const { child } = config;
  if (child === undefined) return config;
  const values: { [name: string]: unknown } = { ...config };
  for (const [name, option] of Object.entries<Option>(options)) {
    const value = values[name];
    if (option.divided && typeof value === "number") values[name] = partOf(value, child);
  }
  const rate = config.rateLimit;
  if (rate !== undefined) {
    const millisecondsPerToken = rate.millisecondsPerToken * child.of;
    values["rateLimit"] = { ...rate, burst: partOf(rate.burst, child), millisecondsPerToken };
  }
  return values as unknown as Config;
}
