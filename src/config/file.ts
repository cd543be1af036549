/**
 * scale.toml: options at the top level, or under [lb], [app], [worker] … for one command only, which beats the top level. Whatever is
 * in the file and nobody would read is a problem: the tables of the other commands are checked too, their values only by themselves.
 * What is in [services] and [[redirects]] is services.ts'.
 */
import type { Origin } from "./load.ts";
import { didYouMean } from "./names.ts";
import { type Command, isRole, isTool, optionOf, roles } from "./options.ts";
import { noRoutes, readRoutes, type Routes, routeTables, type ServiceEntry } from "./services.ts";
import { holdsTables, isTable, readToml, type Table, type TomlFile } from "./toml.ts";

export interface ConfigFile {
  /** Option name in kebab case → what the file says of it for the command. */
  readonly entries: ReadonlyMap<string, Origin>;
  readonly routes: Routes<ServiceEntry>;
  readonly problems: readonly string[];
}

/** The top level, or the table of one command. */
interface Section {
  readonly of: Command | undefined;
  readonly table: Table;
}

/** No file asked for is an empty one; one that cannot be read or parsed throws. */
export function readConfigFile(path: string | undefined, command: Command): ConfigFile {
  const entries = new Map<string, Origin>();
  const problems: string[] = [];
  if (path === undefined) return { entries, routes: noRoutes, problems };
  const file = readToml(path);
  for (const { of, table } of sections(file, problems)) {
    for (const [key, value] of Object.entries(table)) {
      const where = of === undefined ? file.placeOf([key]) : `[${of}] of ${file.placeOf([of, key])}`;
      const problem = problemOf(key, value, of, where);
      if (problem !== undefined) problems.push(problem);
      else if (of === undefined || of === command) entries.set(key, origin(key, value, of, where));
    }
  }
  return { entries, routes: readRoutes(file, problems), problems };
}

/** The top level first, so that what a command's own table says beats it. */
function sections(file: TomlFile, problems: string[]): readonly Section[] {
  const tables: Section[] = [];
  const top: { [key: string]: unknown } = {};
  for (const [key, value] of Object.entries(file.document)) {
    if ((routeTables as readonly string[]).includes(key)) continue;
    // migrate is an option too.
    if (!isCommand(key) || (optionOf(key) && !holdsTables(value))) top[key] = value;
    else if (isTable(value)) tables.push({ of: key, table: value });
    else problems.push(`${key} in ${file.placeOf([key])} is a command, expected one table [${key}]`);
  }
  return [{ of: undefined, table: top }, ...tables];
}

/** Why nobody could read an option from there. */
function problemOf(key: string, value: unknown, of: Command | undefined, where: string): string | undefined {
  const option = optionOf(key);
  if (option === undefined) {
    if (!holdsTables(value)) return `${key} in ${where} is not an option.${didYouMean(key, "")}`;
    return `[${key}] in ${where} is not a command. Fix: options at the top level or under [${roles.join("], [")}]; services under [services.NAME], redirects under [[redirects]]`;
  }
  if (holdsTables(value)) return `${key} in ${where} is a table, expected a value`;
  if (of === undefined || option.commands.includes(of)) return undefined;
  return `${key} in ${where} is an option of ${option.commands.join(", ")}, not of ${of}. Fix: leave it out`;
}

function isCommand(key: string): key is Command {
  return isRole(key) || isTool(key);
}

function origin(key: string, value: unknown, of: Command | undefined, where: string): Origin {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return {
    source: where,
    fix: (text) => `${key} = "${text}"`,
    texts: values.map((item) => (typeof item === "boolean" ? (item ? "on" : "off") : String(item))),
    ...(of === undefined ? { shared: true } : {}),
  };
}
