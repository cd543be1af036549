/**
 * The metrics of several processes as one: a child hands its numbers over, the supervisor adds them up, each as its `across` in
 * metrics.ts says. Invariant: counters never go backwards: the last known numbers of a process that ended, or did not answer, still
 * count. What a killed process had counted since it was last asked is lost.
 */
import { AggregatorRegistry } from "prom-client";

import { Heard } from "./heard.ts";
import { isOfSupervisor, registry } from "./metrics.ts";

/** One metric as prom-client writes it as JSON. */
export interface Numbers {
  readonly name: string;
  readonly type: unknown;
}

/** What this process adds to the whole. */
export async function childMetrics(): Promise<readonly Numbers[]> {
  return (await registry.getMetricsAsJSON()).filter(({ name }) => !isOfSupervisor(name));
}

/** For the numbers of processes: what one that ended has counted goes on to count; its gauges end with it. */
export function heardMetrics(): Heard<readonly Numbers[]> {
  return new Heard((before = [], last) =>
    sum([before, last.filter(({ type }) => type !== "gauge")]).getMetricsAsArray(),
  );
}

/** The text for /metrics: of all, with this process's own. */
export async function metricsText(children: Heard<readonly Numbers[]>): Promise<string> {
  return sum([await registry.getMetricsAsJSON(), ...children.all()]).metrics();
}

function sum(all: readonly (readonly Numbers[])[]) {
  return AggregatorRegistry.aggregate([...all]);
}
