/**
 * argv → role or tool. A table of contents: each is imported only when it is asked for, so that `--version` costs nothing and a
 * balancer loads no database driver. This file and cli/ are the only ones that may exit the process.
 */
import { type Arguments, parseArguments } from "./config/arguments.ts";
import { environment } from "./config/environment.ts";
import { helpText } from "./config/help.ts";
import { loadConfig } from "./config/load.ts";
import type { Command, Config } from "./config/options.ts";
import { printConfig } from "./config/print.ts";
import { commit, version } from "./config/version.ts";
import { configureAccessLog, flushAccessLog } from "./ops/access_log.ts";
import type { Merges } from "./ops/child_pages.ts";
import { closeLog, configureLog, log } from "./ops/log.ts";
import type { Application } from "./runtime/entry.ts";
import { explain, messageOf, ScaleError } from "./std/errors.ts";
import { redactAlso, redactUrls } from "./std/redact.ts";

/** Runs until it is told to stop and resolves with the exit code. `reread` reads environment and file again. */
type Program = (config: Config, reread: () => Config) => Promise<number>;

const programs: { readonly [C in Command]: () => Promise<Program> } = {
  lb: async () => (await import("../lb/main.ts")).run,
  app: async () => withApplication((await import("./app/main.ts")).run),
  worker: async () => withApplication((await import("../worker/main.ts")).run),
  dev: async () => (await import("./cli/dev.ts")).run,
  migrate: async () => withApplication((await import("./cli/migrate.ts")).run),
  jobs: async () => (await import("./cli/jobs.ts")).run,
  doctor: async () => (await import("./cli/doctor.ts")).run,
  init: async () => (await import("./cli/init.ts")).run,
  control: async () => (await import("./cli/lb.ts")).run,
  postgres: async () => (await import("./cli/postgres.ts")).run,
};

/** Pages of which each of several processes has a part, and what makes one of them. */
const mergesOf: { readonly [C in "app" | "worker"]: () => Promise<Merges> } = {
  app: async () => ({ "/statements": (await import("./runtime/sum_of_shapes.ts")).sumOfShapes }),
  worker: async () => ({
    "/statements": (await import("./runtime/sum_of_shapes.ts")).sumOfShapes,
    "/jobs/queues": (await import("../worker/sum_of_overviews.ts")).sumOfOverviews,
  }),
};

/** Gives a role the module "scale" and a way to its application. */
async function withApplication(
  run: (config: Config, load: () => Promise<Application>) => Promise<number>,
): Promise<Program> {
  const { loadApplication } = await import("./runtime/entry.ts");
  const { provideModule } = await import("./provide.ts");
  const builtin = async () => (await import("./builtin.ts")).builtin;
  provideModule();
  return (config) => run(config, () => loadApplication(config.argument, builtin));
}

async function main(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv);
  if (args.version) return print(`scale ${version} (${commit}, Bun ${Bun.version})\n`);
  if (args.help) return print(helpText(args.command));
  if (args.command === undefined) throw new ScaleError("usage", `expected a role or a tool\n\n${helpText(undefined)}`);
  return start(args.command, args);
}

async function start(command: Command, args: Arguments): Promise<number> {
  const load = () => loadConfig(command, args, environment(), ownCommand());
  const loaded = load();
  const config = named(loaded.config);
  if (config.printConfig) return print(printConfig(loaded));
  redactAlso(config.redact);
  configureLog(config);
  configureAccessLog(config);
  for (const warning of loaded.warnings) log.warn({}, warning);
  const program = await programOf(config);
  return program(config, () => load().config);
}

/** Of several processes' lines each says whose it is. */
function named(config: Config): Config {
  return config.child === undefined
    ? config
    : { ...config, instance: config.instance ?? `${config.command}-${process.pid}` };
}

/** Of several processes of app or worker, this one may be their supervisor; role lb's is its control plane, and lb/main.ts' business. */
async function programOf({ command, processes, child }: Config): Promise<Program> {
  if (processes === 1 || child !== undefined || (command !== "app" && command !== "worker")) return programs[command]();
  const { run } = await import("./ops/supervisor.ts");
  const merges = await mergesOf[command]();
  return (supervised) => run(supervised, merges);
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** How to start this program again: the compiled binary, or Bun with this file. */
function ownCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main];
}

/** The last word on a failure: what, where, and how to fix it, on stderr; a stack only where the fault is ours. */
function report(error: unknown): number {
  if (error instanceof ScaleError) {
    process.stderr.write(`scale: ${redactUrls(explain(error))}\n`);
    return error.exit;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  process.stderr.write(`scale: ${redactUrls(text)}\n`);
  return 1;
}

/** A promise nobody waited for must not take every request of the process with it; it is logged as the fault it is. */
process.on("unhandledRejection", (error) => log.error({ error }, `unhandled rejection: ${messageOf(error)}`));

const code = await main(process.argv.slice(2)).catch(report);
flushAccessLog();
await closeLog();
process.exit(code);
