/** --print-config: every value the command will run with, and where each came from. Secrets are masked. */
import { redacted, redactUrls } from "../std/redact.ts";
import type { Loaded } from "./load.ts";
import { optionNames } from "./names.ts";
import { type Config, kebab, type Option, options } from "./options.ts";
import { redirectText, servedText } from "./services.ts";

/** One line an option the command has: name = value   # source. */
export function printConfig({ config, origins }: Loaded): string {
  const lines: string[] = [];
  for (const name of optionNames) {
    const option: Option = options[name];
    if (option.internal || !option.commands.includes(config.command)) continue;
    const origin = origins.get(name);
    const value = origin === undefined ? "" : origin.texts.map((text) => shown(option, text)).join(" ");
    lines.push(`${`${kebab(name)} = ${value}`.padEnd(56)} # ${origin?.source ?? "not set"}`);
  }
  const tables = config.command === "lb" && config.fileServices ? routeLines(config) : [];
  return `${[...lines, ...tables].join("\n")}\n`;
}

/** Services and redirects of the file, one line each. */
function routeLines({ routes, config: file = "" }: Config): string[] {
  const line = (left: string) => `${left.padEnd(56)} # ${file}`;
  return [
    ...routes.services.map((service) => {
      return line(
        `[services.${service.name}] ${servedText(service)} → ${service.backends.map(({ name }) => name).join(" ")}`,
      );
    }),
    ...routes.redirects.map((redirect) => line(`[[redirects]] ${redirectText(redirect)}`)),
  ];
}

function shown({ secret }: Option, text: string): string {
  return secret === "whole" && !text.startsWith("@") ? redacted : redactUrls(text);
}
