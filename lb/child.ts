/**
 * One of several processes of a balancer: it carries requests and nothing else. The World comes from the supervisor (supervisor.ts),
 * which is the control plane; what this process meets of targets goes there.
 */
import { partOf } from "../src/config/divide.ts";
import type { Config } from "../src/config/options.ts";
import { version } from "../src/config/version.ts";
import { startAdmin } from "../src/ops/admin.ts";
import { Lifecycle } from "../src/ops/lifecycle.ts";
import { answerAlso, onTold, tellParent } from "../src/ops/parent.ts";
import { publishProcessMetrics } from "../src/ops/process_metrics.ts";
import { openFront, openServices, type ToControlPlane, type ToDataPlane } from "./data_plane.ts";
import type { World } from "./world.ts";

/** Carries requests until it is told to stop; resolves with the exit code. */
export async function runChild(config: Config, place: NonNullable<Config["child"]>): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  const admin = startAdmin(config, () => ({ ready: life.phase === "ready", state: life.phase }));
  life.onClose("admin", () => admin.close());
  const tell = (what: ToControlPlane) => tellParent(what);
  const services = openServices(config, life, (report) => tell({ kind: "report", report }));
  answerAlso("load", () => services.loads());
  publishProcessMetrics({ version, role: "lb", ready: () => life.phase === "ready" });

  const first = Promise.withResolvers<void>();
  onTold((what) => {
    services.apply(worldOf(what as ToDataPlane, place));
    first.resolve();
  });
  tell({ kind: "started" });
  return life.run(async () => {
    await first.promise;
    if (life.draining.aborted) return;
    const front = openFront(config, services, config.listen);
    life.onClose("listener", () => front.drain());
    life.ready();
  });
}

/** As indivisible() of the configuration: limits of targets and queues that are too small for a part each. */
export function indivisibleOf({ services }: World, processes: number): ReadonlyMap<string, number> {
  const limits = services.flatMap(({ name, queueDepthMax, targets }) => [
    [`--queue-depth-max of ${name}`, queueDepthMax] as const,
    ...targets.map((target) => [`max_connections of ${target.name}`, target.connectionsMax] as const),
  ]);
  return new Map(limits.filter(([, value]) => value > 0 && value < processes));
}

/** The part of the World's limits that this process has. */
export function worldOf(world: World, place: NonNullable<Config["child"]>): World {
  const services = world.services.map((service) => ({
    ...service,
    queueDepthMax: partOf(service.queueDepthMax, place),
    targets: service.targets.map((target) => ({ ...target, connectionsMax: partOf(target.connectionsMax, place) })),
  }));
  return { ...world, services };
}
