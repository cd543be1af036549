/** How busy services and targets are, over all processes of the balancer. Pure. */
import type { ServiceLoad, TargetLoad } from "./world.ts";

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
