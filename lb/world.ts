/**
 * What the control plane publishes and the data plane reads. Plain data: handed over as it is in one process, as JSON to several.
 * Invariant: a World is never changed, only followed by the next one. Who decides what is in it is control/; what a process keeps for
 * a target (connections, counters) is services.ts.
 */

import type { Routes } from "../src/config/services.ts";

/** Whether a target gets requests. One that drains finishes what it has and closes its connections; one that is out may come back. */
export type Routing = "routable" | "draining" | "out";

export interface WorldTarget {
  /** HOST:PORT as given: the target's identity within its service. A name always stands for the same address. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  /** Most requests it is given at a time; 0 for no limit. */
  readonly connectionsMax: number;
  readonly routing: Routing;
  /** When its slow start began, in milliseconds since the epoch; 0 for none. */
  readonly slowSince: number;
  /** Value of the sticky cookie that leads to it; "" where the service has none. */
  readonly stickyToken: string;
}

/** How one of a service's targets is picked for a request. */
export type BalanceName = "round_robin" | "least_connections" | "two_choices" | "ip_hash";

export interface WorldService {
  readonly name: string;
  readonly balance: BalanceName;
  /** Name of the cookie that brings a client back to its target, "" for none. */
  readonly stickyCookie: string;
  /** Requests that may wait for a target to have room, and for how long (milliseconds). */
  readonly queueDepthMax: number;
  readonly queueTimeout: number;
  /** Failed requests in a row that are reported; 0 for never. */
  readonly ejectionErrors: number;
  /** Milliseconds that a slow start lasts. */
  readonly slowStart: number;
  /** Requests wait instead of being sent. */
  readonly isPaused: boolean;
  /** Targets are used that are not healthy. */
  readonly isPanic: boolean;
  readonly targets: readonly WorldTarget[];
}

export interface World {
  readonly routes: Routes;
  readonly services: readonly WorldService[];
}

/** What a process says of a service: how much it has to do. */
export interface ServiceLoad {
  readonly service: string;
  /** Requests that wait for a target. */
  readonly waiting: number;
  readonly targets: readonly TargetLoad[];
}

export interface TargetLoad {
  readonly target: string;
  readonly requestsInFlight: number;
  readonly requests: number;
}

/** What a process tells the control plane: requests to this target fail one after the other. */
export interface Report {
  readonly service: string;
  readonly target: string;
  readonly reason: string;
}
