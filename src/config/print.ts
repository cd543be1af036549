/** --print-config: every value the command will run with, and where each came from. Secrets are masked. */
import { redacted, redactUrls } from "../std/redact.ts";
import type { Loaded } from "./load.ts";
import { optionNames } from "./names.ts";
import { kebab, type Option, options } from "./options.ts";

/** One line an option the command has: name = value   # source. */
export function printConfig({ config, origins }: Loaded): string {
  const lines: string[] = [];
  for (const name of optionNames) {
    const option: Option = options[name];
    if (!option.commands.includes(config.command)) continue;
    const origin = origins.get(name);
    const value = origin === undefined ? "" : origin.texts.map((text) => shown(option, text)).join(" ");
    lines.push(`${`${kebab(name)} = ${value}`.padEnd(56)} # ${origin?.source ?? "not set"}`);
  }
  return `${lines.join("\n")}\n`;
}

function shown({ secret }: Option, text: string): string {
  return secret === "whole" && !text.startsWith("@") ? redacted : redactUrls(text);
}
