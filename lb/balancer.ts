/** What all connections and exchanges of this process share: configuration, services, counters, and whether it is draining. */
import type { Config } from "../src/config/options.ts";
import type { Traffic } from "../src/io/write_queue.ts";
import type { Limits } from "./limit/limits.ts";
import type { Failure } from "./retry.ts";
import type { RetryBudget } from "./retry_budget.ts";
import type { RewriteRules } from "./rewrite.ts";
import type { Services } from "./services.ts";
import type { SpareParsers } from "./spare_parsers.ts";

/** Counts in plain numbers; metrics.ts publishes them when scraped. */
export interface Counters {
  connectionsAccepted: number;
  /** By reason. */
  readonly connectionsRefused: { connections_max: number; connections_per_client_max: number; proxy_header: number };
  /** From clients and to clients, heads and framing included. */
  readonly received: Traffic;
  readonly sent: Traffic;
  exchangesInFlight: number;
  /** By what went wrong before. */
  readonly retries: { [F in Exclude<Failure, "begun">]: number };
  tunnels: number;
  tunnelsOpen: number;
}

export interface Balancer {
  readonly config: Config;
  readonly services: Services;
  readonly rewriteRules: RewriteRules;
  /** Undefined where nothing is limited. */
  readonly limits: Limits | undefined;
  readonly counters: Counters;
  readonly retryBudget: RetryBudget;
  readonly spareParsers: SpareParsers;
  /** Room to reserve for a head, in bytes. */
  readonly headRoomBytes: number;
  /** Responses say Connection: close, and idle connections are closed. */
  isDraining: boolean;
}

export function noCounts(): Counters {
  return {
    connectionsAccepted: 0,
    connectionsRefused: { connections_max: 0, connections_per_client_max: 0, proxy_header: 0 },
    received: { bytes: 0 },
    sent: { bytes: 0 },
    exchangesInFlight: 0,
    tunnels: 0,
    tunnelsOpen: 0,
    retries: { connect: 0, unsent: 0, stale: 0, unanswered: 0, status: 0 },
  };
}
