/** A server behind the balancer as one process uses it: its connections, its place in the rotation, and counters read when scraped. */
import type { Pool } from "./upstream/pool.ts";
import type { Routing, WorldTarget } from "./world.ts";

export class Target {
  /** HOST:PORT as given: in logs, metrics and messages. */
  readonly name: string;
  readonly pool: Pool;
  weight = 1;
  routing: Routing = "out";
  /** Smooth weighted round robin's running value (balance/round_robin.ts). */
  current = 0;
  requestsInFlight = 0;
  requests = 0;
  /** Requests that this target answered with its own response. */
  responses = 0;

  constructor(name: string, pool: Pool) {
    this.name = name;
    this.pool = pool;
  }

  /** Takes over what the control plane says. A target that drains keeps no connection longer than a request needs it. */
  apply({ weight, routing }: WorldTarget): void {
    this.weight = weight;
    this.routing = routing;
    if (routing === "draining") this.pool.close();
    else this.pool.reopen();
  }
}
