/**
 * A named group of targets and who of them may be picked. What is in the group is the World's (world.ts); the data plane reads the
 * lists of the moment and never waits. Invariant: a target that stays keeps its connections and counters, whatever else changes.
 */
import type { HostPort } from "../src/std/units.ts";
import { nextOf } from "./balance/round_robin.ts";
import { Target } from "./target.ts";
import type { Pool } from "./upstream/pool.ts";
import type { WorldService } from "./world.ts";

export type MakePool = (address: HostPort) => Pool;

export class Service {
  readonly name: string;
  readonly #makePool: MakePool;
  #targets: readonly Target[] = [];
  #routable: readonly Target[] = [];

  constructor(name: string, makePool: MakePool) {
    this.name = name;
    this.#makePool = makePool;
  }

  get targets(): readonly Target[] {
    return this.#targets;
  }

  get routable(): readonly Target[] {
    return this.#routable;
  }

  /** Makes the targets those of `wanted`. One that is gone finishes the requests it has, and its connections close as they do. */
  apply(wanted: WorldService): void {
    const gone = new Map(this.#targets.map((target) => [target.name, target]));
    this.#targets = wanted.targets.map((each) => {
      const target = gone.get(each.name) ?? new Target(each.name, this.#makePool(each));
      gone.delete(each.name);
      target.apply(each);
      return target;
    });
    for (const target of gone.values()) target.pool.close();
    this.#routable = this.#targets.filter(({ routing }) => routing === "routable");
  }

  /** Closes every connection that no request uses, now or once none does. */
  close(): void {
    for (const target of this.#targets) target.pool.close();
  }

  sweep(now: number): void {
    for (const target of this.#targets) target.pool.sweep(now);
  }

  /** The target for a request, other than those it was tried on; undefined if there is none. */
  pick(tried: readonly Target[]): Target | undefined {
    if (tried.length === 0) return nextOf(this.#routable);
    return nextOf(this.#routable.filter((target) => !tried.includes(target)));
  }
}
