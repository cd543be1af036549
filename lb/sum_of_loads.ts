/** How busy services and targets are, over all processes of the balancer. Pure. */
import { Heard } from "../src/ops/heard.ts";
import type { ServiceLoad, TargetLoad, World } from "./world.ts";

/** For the loads of processes: the requests that one had counted when it ended go on to count, of targets that are still there. */
export function heardLoads(world: () => World): Heard<readonly ServiceLoad[]> {
  return new Heard((before = [], last) => within(world(), sumOfLoads([before, last.map(counted)])));
}

export function sumOfLoads(loads: readonly (readonly ServiceLoad[])[]): readonly ServiceLoad[] {
  return gather(
    loads.flat(),
    ({ service }) => service,
    (all) => ({
      service: all[0]!.service,
      waiting: all.reduce((sum, { waiting }) => sum + waiting, 0),
      targets: gather(
        all.flatMap(({ targets }) => targets),
        ({ target }) => target,
        sumOfTarget,
      ),
    }),
  );
}

function sumOfTarget(all: readonly TargetLoad[]): TargetLoad {
  return {
    target: all[0]!.target,
    requestsInFlight: all.reduce((sum, { requestsInFlight }) => sum + requestsInFlight, 0),
    requests: all.reduce((sum, { requests }) => sum + requests, 0),
  };
}

function gather<T>(all: readonly T[], nameOf: (one: T) => string, sum: (same: readonly T[]) => T): readonly T[] {
  return [...Map.groupBy(all, nameOf).values()].map(sum);
}

/** Nothing waits in a process that has ended, and nothing is under way. */
function counted({ service, targets }: ServiceLoad): ServiceLoad {
  return { service, waiting: 0, targets: targets.map((target) => ({ ...target, requestsInFlight: 0 })) };
}

/** Targets come and go for as long as a balancer runs: what is known of those that are gone must not pile up. */
function within({ services }: World, loads: readonly ServiceLoad[]): readonly ServiceLoad[] {
  const known = new Map(services.map(({ name, targets }) => [name, new Set(targets.map((target) => target.name))]));
  return loads.flatMap(({ service, targets, ...load }) => {
    const names = known.get(service);
    if (names === undefined) return [];
    return [{ service, ...load, targets: targets.filter(({ target }) => names.has(target)) }];
  });
}
