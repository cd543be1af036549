/**
 * Reads flags, environment and file again and makes what can change without a restart so: services, their targets and settings,
 * routes, redirects. Invariant: a file with a mistake changes nothing. Orders of an operator that are states (drained, paused) outlast
 * a reload; targets and weights are again what the file says.
 */
import {
  type Config,
  flagOf,
  type Option,
  type OptionName,
  options,
  serviceOptions,
} from "../../src/config/options.ts";
import { log } from "../../src/ops/log.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { changes } from "./changes.ts";
import type { ControlPlane } from "./plane.ts";
import { wantedOf } from "./wanted.ts";

export interface Reloaded {
  readonly changes: readonly string[];
  /** Flags whose value is another than the one this process started with, and stays that. */
  readonly needRestart: readonly string[];
}

/** Throws configuration_invalid for a file with a mistake, and usage where there is no file; then nothing has changed. */
export function reload(started: Config, again: () => Config, plane: ControlPlane): Reloaded {
  if (started.config === undefined) {
    const message = "there is no file to read again: the balancer was started without --config";
    log.warn({}, `not reloaded: ${message}`);
    throw new ScaleError("usage", message);
  }
  try {
    return apply(started, again, plane);
  } catch (error) {
    log.error({}, `not reloaded, nothing has changed: ${messageOf(error)}`);
    throw error;
  }
}

function apply(started: Config, again: () => Config, plane: ControlPlane): Reloaded {
  const config = again();
  const wanted = wantedOf({ ...started, ...reloadable(config) });
  const reloaded = { changes: changes(plane.wanted, wanted), needRestart: restartOptions(started, config) };
  plane.configure(wanted);
  log.info(reloaded, `reloaded ${started.config}: ${reloaded.changes.join("; ") || "nothing has changed"}`);
  if (reloaded.needRestart.length > 0) {
    log.warn({}, `${reloaded.needRestart.join(", ")}: the new value needs a restart`);
  }
  return reloaded;
}

/** What a running balancer can take over. */
function reloadable(config: Config): Partial<Config> {
  const { backend, routes } = config;
  return { backend, routes, ...Object.fromEntries(serviceOptions.map((name) => [name, config[name]])) };
}

function restartOptions(started: Config, now: Config): readonly string[] {
  return (Object.entries(options) as [OptionName, Option][])
    .filter(([name, { commands, perService }]) => commands.includes("lb") && perService !== true && name !== "backend")
    .filter(([name]) => !Bun.deepEquals(started[name], now[name]))
    .map(([name]) => flagOf(name));
}
