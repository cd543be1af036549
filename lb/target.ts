/** A server behind the balancer as one process uses it: its connections, its place in the rotation, and counters read when scraped. */
import type { Candidate } from "./balance/candidate.ts";
import { slowPart } from "./balance/slow_start.ts";
import type { Pool } from "./upstream/pool.ts";
import type { Routing, WorldTarget } from "./world.ts";

export class Target implements Candidate {
  /** HOST:PORT as given: in logs, metrics and messages. */
  readonly name: string;
  readonly pool: Pool;
  weight = 1;
  share = 1;
  /** When its slow start began, in milliseconds since the epoch; 0 for none. */
  slowSince = 0;
  routing: Routing = "out";
  stickyToken = "";
  current = 0;
  requestsMax = Number.POSITIVE_INFINITY;
  requestsInFlight = 0;
  requests = 0;
  /** Requests that this target answered with its own response. */
  responses = 0;
  /** Up to the last answer. */
  errorsInRow = 0;
  /** When errors in a row were last reported, in milliseconds of the clock. */
  reportedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, pool: Pool) {
    this.name = name;
    this.pool = pool;
  }

  /** Takes over what the control plane says. A target that drains keeps no connection longer than a request needs it. */
  apply({ weight, connectionsMax, routing, slowSince, stickyToken }: WorldTarget): void {
    this.weight = weight;
    this.slowSince = slowSince;
    this.requestsMax = connectionsMax === 0 ? Number.POSITIVE_INFINITY : connectionsMax;
    if (routing === "routable" && this.routing !== "routable") this.#acquit();
    this.routing = routing;
    this.stickyToken = stickyToken;
    if (routing === "draining") this.pool.close();
    else this.pool.reopen();
  }

  /** What it did before it was out is paid for; what it does now is news. */
  #acquit(): void {
    this.errorsInRow = 0;
    this.reportedAt = Number.NEGATIVE_INFINITY;
  }

  /** Sets its share to what its slow start allows at `now`, in milliseconds since the epoch. */
  weigh(now: number, slowStart: number): void {
    this.share = this.slowSince === 0 ? this.weight : this.weight * slowPart(now - this.slowSince, slowStart);
  }
}
