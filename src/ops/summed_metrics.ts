/**
 * The metrics of several processes as one: a child hands its numbers over, the supervisor adds them up, each as its `across` in
 * metrics.ts says. Invariant: counters never go backwards: the last known numbers of a process that ended, or did not answer, still
 * count. What a killed process had counted since it was last asked is lost.
 */
import { AggregatorRegistry } from "prom-client";

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

/** The numbers of a set of processes that changes. */
export class SummedMetrics {
  /** Of each process that runs, as last heard. */
  readonly #running = new Map<number, readonly Numbers[]>();
  /** What those that ended had counted. */
  #ended: readonly Numbers[] = [];
  /** Its last message may come after its end. */
  #lastEnded: number | undefined;

  heard(pid: number, numbers: readonly Numbers[]): void {
    if (pid !== this.#lastEnded) this.#running.set(pid, numbers);
  }

  /** What it counted goes on to count; its gauges end with it. */
  ended(pid: number): void {
    const counted = (this.#running.get(pid) ?? []).filter(({ type }) => type !== "gauge");
    this.#running.delete(pid);
    this.#lastEnded = pid;
    this.#ended = sum([this.#ended, counted]).getMetricsAsArray();
  }

  /** The text for /metrics, with this process's own. */
  async text(): Promise<string> {
    const own = await registry.getMetricsAsJSON();
    return sum([own, ...this.#running.values(), this.#ended]).metrics();
  }
}

function sum(all: readonly (readonly Numbers[])[]) {
  return AggregatorRegistry.aggregate([...all]);
}
