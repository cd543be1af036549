/** The same command once more, as an argument list: for a process that starts others of its own kind. Secrets travel in the environment. */
import { type Config, flagOf, isRole, kebab, type OptionName } from "./options.ts";

/** What was given on the command line, but for what is `decided`, which takes its place. */
export function commandAgain(config: Config, decided: { readonly [N in OptionName]?: string }): readonly string[] {
  const command = isRole(config.command) ? `--role=${config.command}` : config.command;
  const names = new Set(Object.keys(decided).map(kebab));
  const kept = [...config.flags].filter(([name]) => !names.has(name));
  return [
    ...config.self,
    command,
    ...(config.argument === undefined ? [] : [config.argument]),
    ...kept.flatMap(([name, texts]) => texts.map((text) => `--${name}=${text}`)),
    ...Object.entries(decided).map(([name, text]) => `${flagOf(name)}=${text}`),
  ];
}
