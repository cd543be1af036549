/** argv as words: which command, which flags, what else. What the flags mean is load.ts. */
import { closest } from "../std/closest.ts";
import { ScaleError } from "../std/errors.ts";
import { type Command, isRole, optionOf, roles, toolOf, tools, wordOf } from "./options.ts";

/** What somebody gave as a number is named as one where it is wrong, not as a flag. */
const negativeNumber = /^-[.\d]/;
const toolWords = tools.map(wordOf);

export interface Arguments {
  readonly command: Command | undefined;
  /** Flag name without dashes → its values in the order given. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /** What is neither the command nor a flag. */
  readonly rest: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

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
    if (!word.startsWith("-") || negativeNumber.test(word)) {
      if (command === undefined && rest.length === 0 && toolOf(word)) command = toolOf(word);
      else rest.push(word);
      continue;
    }
    const { name, inline } = flagOf(word);
    const takesNext = inline === undefined && needsValue(name, argv[index + 1]);
    flags.set(name, [...(flags.get(name) ?? []), inline ?? (takesNext ? argv[++index]! : "on")]);
  }
  command = commandOf(command, take(flags, "role"), rest);
  refuseExtra(command, rest);
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

/** Whether the next word is the flag's value. A name that is none takes it too, unless it is a flag: load.ts says that it is none. */
function needsValue(name: string, next: string | undefined): boolean {
  const option = optionOf(name);
  if (option?.switch === true || name === "help" || name === "version") return false;
  if (option === undefined && name !== "role") return next !== undefined && !next.startsWith("-");
  if (next === undefined) throw new ScaleError("usage", `--${name} needs a value: --${name}=…`);
  return true;
}

function take(flags: Map<string, string[]>, name: string): string | undefined {
  const value = flags.get(name)?.at(-1);
  flags.delete(name);
  return value;
}

function commandOf(tool: Command | undefined, role: string | undefined, rest: readonly string[]): Command | undefined {
  if (role !== undefined) {
    if (tool !== undefined)
      throw new ScaleError("usage", `both ${nameOf(tool)} and --role=${role} are given. Fix: leave one out`);
    if (!isRole(role))
      throw new ScaleError(
        "usage",
        `--role is "${role}", expected ${roles.join(", ")}.${didYouMean(closest(role, roles))}`,
      );
    return role;
  }
  const word = rest[0];
  if (tool === undefined && word !== undefined) {
    const meant = closest(word, [...toolWords, ...roles]);
    throw new ScaleError(
      "usage",
      `"${word}" is not a command, expected ${toolWords.join(", ")} or --role=${roles.join("|")}.${didYouMean(meant && isRole(meant) ? `--role=${meant}` : meant)}`,
    );
  }
  return tool;
}

/** What follows a command beyond the one thing it may work on would be ignored. */
function refuseExtra(command: Command | undefined, rest: readonly string[]): void {
  if (command === "jobs" || command === "control") return;
  const most = command === "lb" || command === "postgres" ? 0 : 1;
  const extra = rest[most];
  if (command === undefined || extra === undefined) return;
  throw new ScaleError(
    "usage",
    `"${extra}" is one argument too many: ${nameOf(command)} takes ${most === 0 ? "none" : "one"}`,
  );
}

function nameOf(command: Command): string {
  return isRole(command) ? `--role=${command}` : wordOf(command);
}

function didYouMean(meant: string | undefined): string {
  return meant === undefined ? "" : ` Did you mean ${meant}?`;
}
