/**
 * What carries requests, one set a process: services with their pools, the public listener, the counters of both. It follows the
 * Worlds of a control plane and knows nothing else of it: who that is, here or in another process, is main.ts' and child.ts'.
 */
import type { Config } from "../src/config/options.ts";
import { publishHttpMetrics } from "../src/ops/http_metrics.ts";
import type { Lifecycle } from "../src/ops/lifecycle.ts";
import { networkTest } from "../src/std/cidr.ts";
import { tick } from "../src/std/clock.ts";
import type { HostPort } from "../src/std/units.ts";
import { headRoom } from "../src/wire/http1/serialise.ts";
import { type Balancer, noCounts } from "./balancer.ts";
import { Limits } from "./limit/limits.ts";
import { Front } from "./listen.ts";
import { publishTrafficMetrics } from "./metrics.ts";
import { RetryBudget } from "./retry_budget.ts";
import { Services } from "./services.ts";
import { SpareParsers } from "./spare_parsers.ts";
import { Pool } from "./upstream/pool.ts";
import type { Report, World } from "./world.ts";

/** What a control plane's messages meet, before and after it listens. */
export function openServices(config: Config, life: Lifecycle, report: (report: Report) => void): Services {
  const services = new Services((address) => new Pool(address, config), report);
  life.onClose("pools", () => services.close());
  return services;
}

/** Starts to listen, once `services` knows a first World; returns what must be drained. The port is claimed already. */
export function openFront(config: Config, services: Services, address: HostPort): Front {
  const balancer = balancerOf(config, services);
  const front = new Front(balancer, address);
  publishHttpMetrics();
  publishTrafficMetrics(balancer, front);
  return front;
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

/** Between a balancer's supervisor and its children: what a child tells. */
export type ToControlPlane = { readonly kind: "started" } | { readonly kind: "report"; readonly report: Report };
/** … and what it is told. */
export type ToDataPlane = World;
