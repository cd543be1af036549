/** A server behind the balancer: its place in the rotation, its connections, and plain-number counters that are read when scraped. */
import type { Backend } from "../src/config/options.ts";
import type { Pool } from "./upstream/pool.ts";

export interface Target {
  readonly backend: Backend;
  /** HOST:PORT as given: in logs, metrics and messages. */
  readonly name: string;
  readonly weight: number;
  /** Smooth weighted round robin's running value (balance/round_robin.ts). */
  current: number;
  readonly pool: Pool;
  requestsInFlight: number;
  requests: number;
  /** Requests that this target answered with its own response. */
  responses: number;
}
