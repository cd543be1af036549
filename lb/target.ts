/** A server behind the balancer as one process uses it: its connections, its place in the rotation, and counters read when scraped. */
import type { Candidate } from "./balance/candidate.ts";
import type { Pool } from "./upstream/pool.ts";
import type { Routing, WorldTarget } from "./world.ts";

export class Target implements Candidate {
  /** HOST:PORT as given: in logs, metrics and messages. */
  readonly name: string;
  readonly pool: Pool;
  weight = 1;
  share = 1;
  routing: Routing = "out";
  stickyToken = "";
  current = 0;
  requestsMax = Number.POSITIVE_INFINITY;
  requestsInFlight = 0;
  requests = 0;
  /** Requests that this target answered with its own response. */
  responses = 0;

  constructor(name: string, pool: Pool) {
    this.name = name;
    this.pool = pool;
  }

  /** Takes over what the control plane says. A target that drains keeps no connection longer than a request needs it. */
  apply({ weight, connectionsMax, routing, stickyToken }: WorldTarget): void {
    this.weight = weight;
    this.share = weight;
    this.requestsMax = connectionsMax === 0 ? Number.POSITIVE_INFINITY : connectionsMax;
    this.routing = routing;
    this.stickyToken = stickyToken;
    if (routing === "draining") this.pool.close();
    else this.pool.reopen();
  }
}
