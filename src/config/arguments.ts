/** argv as words: which command, which flags, what else. What the flags mean is load.ts. */
import { closest } from "../std/closest.ts";
import { ScaleError } from "../std/errors.ts";
import { type Command, isRole, isTool, kebab, type Option, options, roles, tools } from "./options.ts";

export interface Arguments {
  readonly command: Command | undefined;
  /** Flag name without dashes → its values in the order given. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /** What is neither the command nor a flag. */
  readonly rest: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

const switches = new Set(
  Object.entries(options as { readonly [name: string]: Option }).flatMap(([name, option]) =>
    option.switch ? [kebab(name)] : [],
  ),
);

/** "--name=value", "--name value" and "--switch"; "--" ends the flags. Throws usage for what cannot be read as that. */
export function parseArguments(argv: readonly string[]): Arguments {
  const flags = new Map<string, string[]>();
  const rest: string[] = [];
  let command: Command | undefined;
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!;
    if (word === "--") {
      rest.push(...argv.slice(index + 1));
      break;
    }
    if (!word.startsWith("-")) {
      if (command === undefined && rest.length === 0 && isTool(word)) command = word;
      else rest.push(word);
      continue;
    }
    const { name, inline } = flagOf(word);
    const value = inline ?? (switches.has(name) || isAlone(name) ? "on" : argv[++index]);
    if (value === undefined) throw new ScaleError("usage", `${word} needs a value: ${word}=…`);
    flags.set(name, [...(flags.get(name) ?? []), value]);
  }
  command = commandOf(command, take(flags, "role"), rest);
  return {
    command,
    flags,
    rest,
    help: take(flags, "help") !== undefined,
    version: take(flags, "version") !== undefined,
  };
}

function flagOf(word: string): { name: string; inline: string | undefined } {
  if (word === "-h") return { name: "help", inline: undefined };
  if (word === "-v") return { name: "version", inline: undefined };
  const match = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(word);
  if (!match) throw new ScaleError("usage", `${word} is not a flag. Flags look like --listen=127.0.0.1:3000`);
  return { name: match[1]!, inline: match[2] };
}

function isAlone(name: string): boolean {
  return name === "help" || name === "version";
}

function take(flags: Map<string, string[]>, name: string): string | undefined {
  const value = flags.get(name)?.at(-1);
  flags.delete(name);
  return value;
}

function commandOf(tool: Command | undefined, role: string | undefined, rest: readonly string[]): Command | undefined {
  if (role !== undefined) {
    if (tool !== undefined)
      throw new ScaleError("usage", `both ${tool} and --role=${role} are given. Fix: leave one out`);
    if (!isRole(role))
      throw new ScaleError("usage", `--role is "${role}", expected ${roles.join(", ")}.${didYouMean(role, roles)}`);
    return role;
  }
  const word = rest[0];
  if (tool === undefined && word !== undefined) {
    throw new ScaleError(
      "usage",
      `"${word}" is not a command, expected ${tools.join(", ")} or --role=${roles.join("|")}.${didYouMean(word, tools)}`,
    );
  }
  return tool;
}

function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = closest(word, candidates);
  return meant ? ` Did you mean ${meant}?` : "";
}
