/**
 * A named group of targets and who of them may be picked. The control plane (health) publishes a new list; the data plane reads the
 * list of the moment and never waits. Why a target is in the list is health/'s.
 */
import { nextOf } from "./balance/round_robin.ts";
import type { Target } from "./target.ts";

export class Service {
  readonly name: string;
  readonly targets: readonly Target[];
  #routable: readonly Target[];

  constructor(name: string, targets: readonly Target[]) {
    this.name = name;
    this.targets = targets;
    this.#routable = targets;
  }

  get routable(): readonly Target[] {
    return this.#routable;
  }

  publish(routable: readonly Target[]): void {
    this.#routable = routable;
  }

  /** The target for a request, other than those it was tried on; undefined if there is none. */
  pick(tried: readonly Target[]): Target | undefined {
    if (tried.length === 0) return nextOf(this.#routable);
    return nextOf(this.#routable.filter((target) => !tried.includes(target)));
  }
}
