/**
 * What is to be balanced, from flags and file: each service of the file, and the service "default" of --backend, which serves what no
 * other claims. Pure; throws configuration_invalid where nobody could say who serves.
 */
import type { Config } from "../../src/config/options.ts";
import { noRoutes, noRules, type RedirectEntry, type ServiceEntry, targetsMax } from "../../src/config/services.ts";
import { ScaleError } from "../../src/std/errors.ts";
import type { ServiceSpec } from "./group.ts";
import type { Wanted } from "./plane.ts";

export const defaultName = "default";

export function wantedOf(config: Config): Wanted {
  const { services, redirects } = config.fileServices ? config.routes : noRoutes;
  if (config.backend.length === 0) {
    if (services.length > 0 || redirects.length > 0) return wanted(config, services, redirects);
    throw new ScaleError("configuration_invalid", "--backend is missing: there is nothing to balance", {
      hint: "--backend=HOST:PORT, once for each application server, or [services.NAME] in the file of --config",
    });
  }
  refuseWrongBackends(config);
  const taken = services.find(({ name }) => name === defaultName);
  if (taken !== undefined || [...services, ...redirects].some(claimsAll)) {
    throw new ScaleError(
      "configuration_invalid",
      `--backend and a service or redirect of the file claim ${taken === undefined ? "all requests" : `the name ${defaultName}`} both`,
      {
        hint: "leave out --backend, or name hosts or paths in the file",
      },
    );
  }
  return wanted(config, [...services, ofBackends(config)], redirects);
}

function wanted(config: Config, entries: readonly ServiceEntry[], redirects: readonly RedirectEntry[]): Wanted {
  const routes = entries.map(({ name, hosts, paths, connect, stripPrefix, request, response }) => {
    return { name, hosts, paths, connect, stripPrefix, request, response };
  });
  return { services: entries.map((entry) => specOf(config, entry)), routes: { services: routes, redirects } };
}

function specOf(config: Config, { name, settings, backends }: ServiceEntry): ServiceSpec {
  return { name, options: { ...config, ...settings }, targets: backends };
}

function ofBackends({ backend }: Config): ServiceEntry {
  const all = { hosts: [], paths: ["/"], connect: [], stripPrefix: false, request: noRules, response: noRules };
  return { name: defaultName, ...all, backends: backend, settings: {} };
}

function claimsAll(claim: {
  readonly hosts: readonly string[];
  readonly paths: readonly string[];
  readonly scheme?: string | undefined;
}): boolean {
  return claim.hosts.length === 0 && claim.paths.includes("/") && claim.scheme === undefined;
}

function refuseWrongBackends({ backend }: Config): void {
  if (backend.length > targetsMax) {
    throw new ScaleError("configuration_invalid", `--backend is given ${backend.length} times, at most ${targetsMax}`);
  }
  const names = backend.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw new ScaleError("configuration_invalid", `--backend=${twice} is given twice`, {
    hint: `give it once; weight=N after it makes its share larger: --backend=${twice},weight=2`,
  });
}
