/** Role lb: requests in, requests out to whoever is well. A table of contents; the walk of one request is exchange.ts. */
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { startAdmin } from "../src/ops/admin.ts";
import { publishHttpMetrics } from "../src/ops/http_metrics.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { log } from "../src/ops/log.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { announce } from "../src/ops/run_dir.ts";
import { ScaleError } from "../src/std/errors.ts";
import { formatHostPort } from "../src/std/units.ts";
import { headRoom } from "../src/wire/http1/serialise.ts";
import { type Balancer, noCounts } from "./balancer.ts";
import { Checker } from "./health/checker.ts";
import { Front } from "./listen.ts";
import { publishBalancerMetrics } from "./metrics.ts";
import { Service } from "./service.ts";
import { SpareParsers } from "./spare_parsers.ts";
import type { Target } from "./target.ts";
import { Pool } from "./upstream/pool.ts";

/** Balances until it is told to stop; resolves with the exit code. */
export async function run(config: Config): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  // First, so that it closes last: what looks at /readyz sees the draining.
  const admin = startAdmin(config, () => ({ ready: life.phase === "ready", state: life.phase }));
  life.onClose("admin", () => admin.close());

  const service = new Service("default", targetsOf(config));
  life.onClose("pools", () => service.targets.forEach((target) => target.pool.close()));
  const checker = new Checker(service, config);
  life.onClose("health checks", () => checker.stop());
  const balancer = balancerOf(config, service);
  const front = new Front(balancer);
  life.onClose("listener", () => front.drain());
  checker.start();

  publishHttpMetrics();
  publishBalancerMetrics(balancer, front, checker);
  publishProcessMetrics({ version, role: "lb", ready: () => life.phase === "ready" });
  const addresses = { listen: formatHostPort(front.address), admin: formatHostPort(admin.address) };
  const presence = { pid: process.pid, role: "lb", instance: config.instance, ...addresses };
  life.onClose("run directory", announce(config.runDir, presence));
  log.info(
    { ...addresses, backends: service.targets.map((target) => target.name) },
    `role lb listens on http://${addresses.listen}`,
  );
  life.ready();
  return life.stopped;
}

function targetsOf(config: Config): Target[] {
  if (config.backend.length === 0) {
    throw new ScaleError("configuration_invalid", "--backend is missing: there is nothing to balance", {
      hint: "--backend=HOST:PORT, once for each application server",
    });
  }
  const names = config.backend.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ScaleError("configuration_invalid", `--backend=${twice} is given twice`, {
      hint: `give it once; weight=N after it makes its share larger: --backend=${twice},weight=2`,
    });
  }
  return config.backend.map((backend) => ({
    backend,
    name: backend.name,
    weight: backend.weight,
    current: 0,
    pool: new Pool(backend, config),
    requestsInFlight: 0,
    requests: 0,
    responses: 0,
  }));
}

function balancerOf(config: Config, service: Service): Balancer {
  return {
    config,
    routes: { fallback: service },
    counters: noCounts(),
    spareParsers: new SpareParsers(config),
    headRoomBytes: headRoom(config),
    isDraining: false,
  };
}
