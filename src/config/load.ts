/**
 * From argv, the environment and scale.toml to one Config. Precedence: flag > environment > file > default. Every wrong option is
 * collected, and all are reported at once. What the options are is options.ts; --help and --print-config are help.ts and print.ts.
 */
import { readFileSync } from "node:fs";

import { closest } from "../std/closest.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { redactUrls } from "../std/redact.ts";
import { ExpectedError } from "../std/units.ts";
import type { Arguments } from "./arguments.ts";
import { divide } from "./divide.ts";
import { type ConfigFile, readConfigFile } from "./file.ts";
import { didYouMean, optionNames } from "./names.ts";
import {
  bareVariables,
  type Command,
  type Config,
  defaultOf,
  environmentName,
  flagOf,
  kebab,
  type Option,
  type OptionName,
  options,
} from "./options.ts";
import { noRoutes } from "./services.ts";

/** Where a value came from, for messages and --print-config. */
export interface Origin {
  /** "flag --listen", "environment PORT", "scale.toml", "default". */
  readonly source: string;
  /** The option with this value as it would be written there: --listen=3000, PORT=3000, listen = "3000". */
  readonly fix: (text: string) => string;
  readonly texts: readonly string[];
  /** Stands in the file for every command at once. */
  readonly shared?: true;
}

export interface Loaded {
  readonly config: Config;
  readonly origins: ReadonlyMap<OptionName, Origin>;
  readonly warnings: readonly string[];
}

export type Environment = { readonly [name: string]: string | undefined };

const table: { readonly [name: string]: Option } = options;

/** Throws one ScaleError configuration_invalid that lists every wrong option. `environment` is process.env or a test's. */
export function loadConfig(
  command: Command,
  args: Arguments,
  environment: Environment,
  self: readonly string[],
): Loaded {
  const problems: string[] = [...unknownFlags(command, args), ...unknownVariables(environment)];
  const file = collect(problems, () => readConfigFile(configPath(args, environment), command));
  problems.push(...(file?.problems ?? []));

  const origins = new Map<OptionName, Origin>();
  const values: { [name: string]: unknown } = {};
  for (const name of optionNames) {
    const origin = originOf(name, command, args, environment, file?.entries);
    if (origin === undefined) continue;
    origins.set(name, origin);
    values[name] = collect(problems, () => parse(name, command, origin));
  }
  if (problems.length > 0) {
    throw new ScaleError("configuration_invalid", problems.length === 1 ? problems[0]! : list(problems));
  }
  const given = new Map(
    [...origins]
      .filter(([, { source, shared }]) => source !== "default" && shared !== true)
      .map(([name, { texts }]) => [name, texts]),
  );
  const config = {
    ...values,
    command,
    argument: args.rest[0],
    operands: args.rest.slice(1),
    routes: file?.routes ?? noRoutes,
    self,
    flags: args.flags,
    given,
  } as unknown as Config;
  return { config: divide(config), origins, warnings: secretsInArgv(args) };
}

function list(problems: readonly string[]): string {
  return `${problems.length} options are wrong\n${problems.map((problem) => `- ${problem}`).join("\n")}`;
}

function collect<T>(problems: string[], body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    problems.push(messageOf(error));
    return undefined;
  }
}

function configPath(args: Arguments, environment: Environment): string | undefined {
  return args.flags.get("config")?.at(-1) ?? environment[environmentName("config")];
}

function originOf(
  name: OptionName,
  command: Command,
  args: Arguments,
  environment: Environment,
  file: ConfigFile["entries"] | undefined,
): Origin | undefined {
  const option = table[name]!;
  const flag = args.flags.get(kebab(name));
  if (flag) return { source: `flag ${flagOf(name)}`, fix: (text) => `${flagOf(name)}=${text}`, texts: flag };
  if (!option.commands.includes(command)) return fallback(option, command);
  for (const variable of [environmentName(name), ...bareVariables(option, command)]) {
    const text = environment[variable];
    if (text === undefined || text === "") continue;
    const texts = option.many ? text.split(/\s+/).filter((part) => part !== "") : [text];
    return { source: `environment ${variable}`, fix: (value) => `${variable}=${value}`, texts };
  }
  return file?.get(kebab(name)) ?? fallback(option, command);
}

function fallback(option: Option, command: Command): Origin | undefined {
  const text = defaultOf(option, command);
  const origin = { source: "default", fix: () => "" };
  if (text === undefined) return option.many ? { ...origin, texts: [] } : undefined;
  return { ...origin, texts: option.many ? text.split(" ") : [text] };
}

function parse(name: OptionName, command: Command, origin: Origin): unknown {
  const option = table[name]!;
  if (!option.many && origin.texts.length > 1) {
    throw new Error(`${flagOf(name)} is given ${origin.texts.length} times, expected once (from ${origin.source})`);
  }
  // A value that would be right, for the fix.
  const usual = fallback(option, command)?.texts[0];
  const values = origin.texts.map((text) => parseOne(name, option, text, origin, usual));
  return option.many ? values : values[0];
}

function parseOne(name: OptionName, option: Option, text: string, origin: Origin, usual: string | undefined): unknown {
  const plain = option.secret && text.startsWith("@") ? readSecret(name, text.slice(1), origin) : text;
  try {
    return option.parse(plain);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    const shown = option.secret ? "not readable (not shown)" : JSON.stringify(plain);
    throw new Error(
      `${flagOf(name)} is ${shown}, expected ${error.expected} (from ${origin.source}).` +
        (usual === undefined ? "" : ` Fix: ${origin.fix(usual)}`),
      { cause: error },
    );
  }
}

function readSecret(name: OptionName, file: string, origin: Origin): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new Error(
      `${flagOf(name)} names the file ${file}, which cannot be read: ${messageOf(error)} (from ${origin.source})`,
      {
        cause: error,
      },
    );
  }
}

function unknownFlags(command: Command, args: Arguments): string[] {
  const problems: string[] = [];
  for (const flag of args.flags.keys()) {
    const name = optionNames.find((candidate) => kebab(candidate) === flag);
    if (name === undefined) problems.push(`--${flag} is not an option.${didYouMean(flag, "--")}`);
    else if (!table[name]!.commands.includes(command)) {
      problems.push(
        `--${flag} is an option of ${table[name]!.commands.join(", ")}, not of ${command === "control" ? "scale lb" : command}. Fix: ${fix(command)}`,
      );
    }
  }
  return problems;
}

/** Who means the role may have written the tool. */
function fix(command: Command): string {
  return command === "control" ? "leave it out; scale --role=lb starts a balancer" : "leave it out";
}

function unknownVariables(environment: Environment): string[] {
  const known = optionNames.map(environmentName);
  return Object.keys(environment)
    .filter((variable) => variable.startsWith("SCALE_") && !known.includes(variable))
    .map((variable) => {
      const meant = closest(variable, known);
      return `${variable} is set, but no option reads it.${meant ? ` Did you mean ${meant}?` : " Fix: unset it"}`;
    });
}

function secretsInArgv(args: Arguments): string[] {
  return optionNames
    .filter((name) => args.flags.get(kebab(name))?.some((text) => isSecret(table[name]!, text)))
    .map(
      (name) =>
        `${flagOf(name)} carries a secret, which every user of this machine can read in ps. ` +
        `Fix: ${environmentName(name)}= in the environment, or ${flagOf(name)}=@FILE`,
    );
}

function isSecret({ secret }: Option, text: string): boolean {
  if (secret === undefined || text.startsWith("@")) return false;
  return secret === "whole" || redactUrls(text) !== text;
}
