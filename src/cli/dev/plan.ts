/** Which children `scale dev` has and the ordinary flags each is started with. Pure: starting them is supervised.ts. */
import { resolve } from "node:path";

import { childEnvironment } from "../../config/environment.ts";
import { type Config, flagOf, type Option, type OptionName, options, type Role } from "../../config/options.ts";
import { formatHostPort } from "../../std/units.ts";
import { postgresIsReady, roleIsReady } from "./ready.ts";
import type { Plan } from "./supervised.ts";

/** Where the children find their stores. */
export interface StoreUrls {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

const table: { readonly [name: string]: Option } = options;
/** What dev decides itself for each child. */
const decided = new Set<OptionName>([
  "listen",
  "admin",
  "runDir",
  "dataDir",
  "accessLog",
  "config",
  "watch",
  "apps",
  "databaseUrl",
  "redisUrl",
  "cacheUrl",
  "queueUrl",
]);

/** The balancer: every port an application may listen on is a target; those with nothing behind them are simply not healthy. */
export function lbPlan(config: Config, ports: readonly number[]): Plan {
  const backends = ports.map((port) => `--backend=127.0.0.1:${port}`);
  const flags = [`--listen=${formatHostPort(config.listen)}`, `--admin=${formatHostPort(config.admin)}`, ...backends];
  // Half of its targets are always away; saying so would drown what matters.
  const quiet = config.given.has("logLevel") ? [] : ["--log-level=error"];
  const checks = [`--health-interval=${config.healthInterval}ms`, "--health-rise=1"];
  return role(config, "lb", "lb", [...flags, ...checks, ...quiet], {});
}

export function appPlan(config: Config, name: string, port: number, stores: StoreUrls): Plan {
  const flags = [`--listen=127.0.0.1:${port}`, "--migrate=auto", "--drain-delay=0", "--served-by", "--access-log=off"];
  return role(config, "app", name, flags, secrets(config, stores));
}

export function workerPlan(config: Config, stores: StoreUrls): Plan {
  return role(config, "worker", "worker", [], secrets(config, stores));
}

/** The embedded PostgreSQL. Its port is given, so that its URL is the same after a restart. */
export function postgresPlan(config: Config, dataDir: string, port: number): Plan {
  const flags = [
    `--data-dir=${dataDir}`,
    `--listen=127.0.0.1:${port}`,
    "--stop-with-parent",
    "--log-level=warn",
    ...log(config),
  ];
  return {
    name: "postgres",
    command: [...config.self, "postgres", ...flags],
    env: childEnvironment({}),
    isReady: postgresIsReady(dataDir),
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
  const common = [
    `--instance=${name}`,
    `--run-dir=${runDirOf(config)}`,
    "--stop-with-parent",
    "--drain-timeout=5s",
    ...log(config),
  ];
  const command = [...config.self, `--role=${of}`, ...entry, ...flags, ...common, ...handedOn(config, of)];
  return { name, command, env: childEnvironment(env), isReady: roleIsReady(runDirOf(config), of) };
}

export function runDirOf(config: Config): string {
  return resolve(config.runDir);
}

function log(config: Config): string[] {
  const pretty = config.logFormat === "pretty" || (config.logFormat === "auto" && process.stdout.isTTY);
  return [`--log-format=${pretty ? "pretty" : "json"}`];
}

/** Options somebody gave to dev that the role has too. */
function handedOn(config: Config, of: Role): string[] {
  return [...config.given]
    .filter(
      ([name]) =>
        !decided.has(name) && name !== "logFormat" && name !== "healthInterval" && table[name]!.commands.includes(of),
    )
    .flatMap(([name, texts]) => texts.map((text) => `${flagOf(name)}=${text}`));
}

function secrets(config: Config, { databaseUrl, redisUrl }: StoreUrls): { readonly [N in OptionName]?: string } {
  const { cacheUrl, queueUrl } = config;
  return {
    databaseUrl,
    redisUrl,
    ...(cacheUrl === undefined ? {} : { cacheUrl }),
    ...(queueUrl === undefined ? {} : { queueUrl }),
  };
}
