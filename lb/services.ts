/** The data plane's services, one set a process. They follow the World, by name: what stays keeps its connections and counters. */
import { Service } from "./service.ts";
import { Pool, type PoolLimits } from "./upstream/pool.ts";
import type { World } from "./world.ts";

export class Services {
  readonly #limits: PoolLimits;
  readonly #byName = new Map<string, Service>();

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /** In the World's order. */
  all(): Iterable<Service> {
    return this.#byName.values();
  }

  get(name: string): Service | undefined {
    return this.#byName.get(name);
  }

  apply(world: World): void {
    const gone = new Map(this.#byName);
    this.#byName.clear();
    for (const wanted of world.services) {
      const service = gone.get(wanted.name) ?? new Service(wanted.name, (address) => new Pool(address, this.#limits));
      gone.delete(wanted.name);
      this.#byName.set(wanted.name, service);
      service.apply(wanted);
    }
    for (const service of gone.values()) service.close();
  }

  /** Closes what no request uses, and the rest as requests end. */
  close(): void {
    for (const service of this.all()) service.close();
  }

  /** Closes what has been idle for too long. */
  sweep(now: number): void {
    for (const service of this.all()) service.sweep(now);
  }
}
