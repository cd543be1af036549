/** Role lb: requests in, requests out to whoever is well. A table of contents; the walk of one request is exchange.ts. */
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { startAdmin } from "../src/ops/admin.ts";
import { publishHttpMetrics } from "../src/ops/http_metrics.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { log } from "../src/ops/log.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { announce } from "../src/ops/run_dir.ts";
import { networkTest } from "../src/std/cidr.ts";
import { tick } from "../src/std/clock.ts";
import { formatHostPort } from "../src/std/units.ts";
import { headRoom } from "../src/wire/http1/serialise.ts";
import { takeOrders } from "./admin/orders.ts";
import { type Balancer, noCounts } from "./balancer.ts";
import { ControlPlane } from "./control/plane.ts";
import { reload } from "./control/reload.ts";
import { wantedOf } from "./control/wanted.ts";
import { Limits } from "./limit/limits.ts";
import { Front } from "./listen.ts";
import { publishBalancerMetrics } from "./metrics.ts";
import { RetryBudget } from "./retry_budget.ts";
import { Services } from "./services.ts";
import { SpareParsers } from "./spare_parsers.ts";
import { Pool } from "./upstream/pool.ts";

/** Balances until it is told to stop; resolves with the exit code. `reread` reads flags, environment and file again. */
export async function run(config: Config, reread: () => Config): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  // First, so that it closes last: what looks at /readyz sees the draining.
  const admin = startAdmin(config, () => ({ ready: life.phase === "ready", state: life.phase }));
  life.onClose("admin", () => admin.close());

  const services = new Services(
    (address) => new Pool(address, config),
    (report) => control.report(report),
  );
  life.onClose("pools", () => services.close());
  const control = new ControlPlane(wantedOf(config), (world) => services.apply(world));
  services.apply(control.world);
  life.onClose("control plane", () => control.stop());
  const balancer = balancerOf(config, services);
  const front = new Front(balancer);
  const orders = await takeOrders(config, {
    plane: control,
    reload: () => reload(config, reread, control),
    load: () => services.loads(),
    about: { version, listen: formatHostPort(front.address) },
  });
  // Before the listener, so that it closes after it: how far the draining has come can be asked.
  life.onClose("control socket", () => orders.close());
  life.onClose("listener", () => front.drain());
  control.start();

  publishHttpMetrics();
  publishBalancerMetrics(balancer, front, control);
  publishProcessMetrics({ version, role: "lb", ready: () => life.phase === "ready" });
  const addresses = { listen: formatHostPort(front.address), admin: formatHostPort(admin.address) };
  const presence = { pid: process.pid, role: "lb", instance: config.instance, ...addresses, control: orders.path };
  life.onClose("run directory", announce(config.runDir, presence));
  log.info(
    { ...addresses, services: control.status().map(({ name }) => name) },
    `role lb listens on http://${addresses.listen}`,
  );
  life.ready();
  return life.stopped;
}

function balancerOf(config: Config, services: Services): Balancer {
  const limits = new Limits(config);
  return {
    config,
    services,
    rewriteRules: { trusted: networkTest(config.trustedProxies), traceSample: config.traceSample },
    limits: limits.areNone ? undefined : limits,
    counters: noCounts(),
    retryBudget: new RetryBudget(config, tick()),
    spareParsers: new SpareParsers(config),
    headRoomBytes: headRoom(config),
    isDraining: false,
  };
}
