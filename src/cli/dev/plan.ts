/**
 * Which children `scale dev` has and the ordinary flags each is started with. A flag that dev decides itself wins over one given to dev,
 * and that over the role's own table of scale.toml, which each role reads for itself. Starting them is ops/supervised.ts.
 */
import { resolve } from "node:path";

import { childEnvironment } from "../../config/environment.ts";
import { readConfigFile } from "../../config/file.ts";
import { type Config, flagOf, type Option, type OptionName, options, type Role } from "../../config/options.ts";
import type { Plan } from "../../ops/supervised.ts";
import { formatHostPort } from "../../std/units.ts";
import { postgresReadiness, roleReadiness } from "./ready.ts";

/** Where the children find their stores. */
export interface StoreUrls {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

const table: { readonly [name: string]: Option } = options;
/** Where the stores are travels in the environment. */
const inEnvironment: readonly OptionName[] = ["databaseUrl", "replicaUrl", "redisUrl", "cacheUrl", "queueUrl"];

/** The balancer: every port an application may listen on is a target; those with nothing behind them are simply not healthy. */
export function lbPlan(config: Config, ports: readonly number[]): Plan {
  const backends = ports.map((port) => `--backend=127.0.0.1:${port}`);
  const flags = [`--listen=${formatHostPort(config.listen)}`, `--admin=${formatHostPort(config.admin)}`, ...backends];
  // Half of its targets are always away; saying so would drown what matters.
  const isSet = config.given.has("logLevel") || readConfigFile(config.config, "lb").entries.has("log-level");
  const quiet = isSet ? [] : ["--log-level=error"];
  const checks = [`--health-interval=${config.healthInterval}ms`, "--health-rise=1"];
  // The file's services are production's: what runs here is this machine's applications.
  return role(config, "lb", "lb", [...flags, "--file-services=off", ...checks, ...quiet], {});
}

export function appPlan(config: Config, name: string, port: number, stores: StoreUrls): Plan {
  const told = ["--repeated-statements=warn", "--cache-outcomes=show"];
  const own = ["--migrate=auto", "--drain-delay=0", "--served-by=on", "--access-log=off", ...told];
  const flags = [`--listen=127.0.0.1:${port}`, "--admin=127.0.0.1:0", ...own];
  return role(config, "app", name, flags, secrets(config, stores));
}

export function workerPlan(config: Config, stores: StoreUrls): Plan {
  return role(config, "worker", "worker", ["--admin=127.0.0.1:0"], secrets(config, stores));
}

/** The embedded PostgreSQL. Its port is given, so that its URL is the same after a restart. */
export function postgresPlan(config: Config, dataDir: string, port: number): Plan {
  const flags = [
    `--data-dir=${dataDir}`,
    `--listen=127.0.0.1:${port}`,
    `--stop-with-parent=${process.pid}`,
    "--log-level=warn",
    ...log(config),
  ];
  return {
    name: "postgres",
    command: [...config.self, "postgres", ...flags],
    env: childEnvironment({}),
    readiness: postgresReadiness(dataDir),
  };
}

function role(
  config: Config,
  of: Role,
  name: string,
  flags: readonly string[],
  env: { readonly [N in OptionName]?: string },
): Plan {
  const entry = of === "lb" || config.argument === undefined ? [] : [resolve(config.argument)];
  const decided = [
    ...flags,
    `--instance=${name}`,
    `--run-dir=${runDirOf(config)}`,
    `--stop-with-parent=${process.pid}`,
    "--drain-timeout=5s",
    ...log(config),
    ...(config.config === undefined ? [] : [`--config=${resolve(config.config)}`]),
  ];
  const command = [...config.self, `--role=${of}`, ...entry, ...decided, ...handedOn(config, of, decided)];
  return { name, command, env: childEnvironment(env), readiness: roleReadiness(runDirOf(config), of) };
}

export function runDirOf(config: Config): string {
  return resolve(config.runDir);
}

function log(config: Config): string[] {
  const pretty = config.logFormat === "pretty" || (config.logFormat === "auto" && process.stdout.isTTY);
  return [`--log-format=${pretty ? "pretty" : "json"}`];
}

/** Options somebody gave to dev that the role has too, but for those that dev has decided. */
function handedOn(config: Config, of: Role, decided: readonly string[]): string[] {
  const isDecided = (name: OptionName) =>
    inEnvironment.includes(name) || decided.some((flag) => flag.split("=", 1)[0] === flagOf(name));
  return [...config.given]
    .filter(([name]) => table[name]!.commands.includes(of) && !isDecided(name))
    .flatMap(([name, texts]) => texts.map((text) => `${flagOf(name)}=${text}`));
}

function secrets(config: Config, { databaseUrl, redisUrl }: StoreUrls): { readonly [N in OptionName]?: string } {
  const { cacheUrl, queueUrl, replicaUrl } = config;
  return {
    databaseUrl,
    redisUrl,
    ...(cacheUrl === undefined ? {} : { cacheUrl }),
    ...(queueUrl === undefined ? {} : { queueUrl }),
    ...(replicaUrl.length === 0 ? {} : { replicaUrl: replicaUrl.join(" ") }),
  };
}
