/** --help and the option reference of docs/OPERATING.md, rendered from the table. */
import { verbReference } from "./control_verbs.ts";
import {
  bareVariables,
  type Command,
  defaultOf,
  environmentName,
  flagOf,
  isRole,
  type Option,
  options,
} from "./options.ts";

const table = (Object.entries(options) as readonly (readonly [string, Option])[]).filter(
  ([, option]) => !option.internal,
);

const about: { readonly [C in Command]: string } = {
  lb: "scale --role=lb --backend=HOST:PORT[,weight=N] …\n\nThe load balancer in front of role app.",
  app: "scale --role=app [entry.ts]\n\nServes the routes of an application. Without an entry: the built-in demo.",
  worker: "scale --role=worker [entry.ts]\n\nRuns the jobs of an application. Without an entry: the built-in demo.",
  dev: "scale dev [entry.ts]\n\nBalancer, applications, worker and embedded stores on this machine, in one terminal.",
  control: `scale lb VERB …

Tells a running balancer of this machine what to do. It is found through --run-dir, or named by --control.

${verbReference()}`,
  migrate: "scale migrate [entry.ts]\n\nApplies the application's migrations that are pending.",
  doctor:
    "scale doctor --database --redis\n\nLooks at the plans of the statements that applications of this machine send, and at how Redis is set up. Changes nothing.",
  init: "scale init [directory]\n\nWrites entry.ts, scale.d.ts and tsconfig.json to begin with.",
  jobs: `scale jobs ls | show ID | retry ID… | redrive | discard ID… | cancel ID… | pause QUEUE… | resume QUEUE… | stats

Looks at the jobs of a queue and steers them. Needs --redis-url or --queue-url, and no application.

  ls       jobs by --queue, --job, --state, --id-prefix, --older-than
  show     one job: its payload (secrets masked), history, progress, result
  retry    a dead letter, a cancelled or a delayed job runs at once, its attempts counted anew
  redrive  retry for all dead letters that pass the filters, --limit at most
  discard  forgets dead letters: those named, or all that pass the filters
  cancel   waiting and delayed jobs at once; a running one's signal is aborted. Those named, or all that pass the filters
  pause    no worker starts a job of the queue, until resume
  stats    jobs by state, and what the queue has done`,
  postgres:
    "scale postgres\n\nThe embedded PostgreSQL as a process of its own. For development; production runs PostgreSQL.",
};

const overview = `scale: load balancer, application server and worker in one binary.

  scale dev [entry.ts]               everything on this machine, nothing to install
  scale --role=lb                    load balancer
  scale --role=app [entry.ts]        application server
  scale --role=worker [entry.ts]     background worker
  scale lb status | drain | …        look at a running balancer, and direct it
  scale migrate [entry.ts]           apply the application's migrations
  scale init [directory]             begin a new application
  scale jobs ls|show|retry|…         look at jobs and steer them
  scale doctor --database --redis    find missing indexes, and a Redis that is set up wrongly
  scale postgres                     the embedded PostgreSQL of scale dev

  scale dev --help, scale --role=lb --help …   the options of each
  scale --version

Precedence: flag > environment (SCALE_<NAME>) > --config=scale.toml > default.
Exit codes: 0 ok, 1 failure at run time, 2 usage, 78 configuration.
`;

/** The text of --help for a command, or the overview. */
export function helpText(command: Command | undefined): string {
  if (command === undefined) return overview;
  const lines = optionsOf(command).map(([name, option]) => {
    const usual = defaultOf(option, command);
    const left = option.switch ? flagOf(name) : `${flagOf(name)}=${option.form}`;
    return `  ${left.padEnd(38)} ${option.help}${usual === undefined ? "" : ` [${usual}]`}${option.many ? " (repeatable)" : ""}`;
  });
  return `${about[command]}\n\n${lines.join("\n")}\n\nEach also reads SCALE_<NAME>${bareNames(command)}.\n`;
}

/** A Markdown table of every option, for the manual. */
export function optionReference(): string {
  const rows = table.map(([name, option]) => {
    const variables = [environmentName(name), ...(option.env ?? [])].map(code).join(" ");
    return `| ${code(`${flagOf(name)}=${option.form}`)} | ${defaultsText(option)} | ${option.commands.join(" ")} | ${option.help}${option.perService ? " (per service)" : ""} | ${variables} |`;
  });
  return ["| flag | default | of | meaning | environment |", "| --- | --- | --- | --- | --- |", ...rows].join("\n");
}

function optionsOf(command: Command): readonly (readonly [string, Option])[] {
  return table.filter(([, option]) => option.commands.includes(command));
}

function bareNames(command: Command): string {
  const bare = optionsOf(command).flatMap(([, option]) => bareVariables(option, command));
  return bare.length > 0 ? `, then ${bare.join(", ")}` : "";
}

function defaultsText(option: Option): string {
  if (option.default === undefined) return "";
  if (typeof option.default === "string") return code(option.default);
  return Object.entries(option.default)
    .map(([command, text]) => `${code(text)}${command === "*" ? "" : ` (${isRole(command) ? "role " : ""}${command})`}`)
    .join(", ");
}

function code(text: string): string {
  return `\`${text.replaceAll("|", "\\|")}\``;
}
