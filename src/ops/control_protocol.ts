/**
 * What is said on a balancer's control socket: HTTP with JSON, GET /status and POST /VERB. Both ends read this file, `scale lb` and
 * lb/control/handler.ts; neither is in it.
 */

/** Body of a POST. The service may be left out where the target, or there being only one, says which. */
export interface Order {
  readonly service?: string;
  /** HOST:PORT; for add as --backend takes it. */
  readonly target?: string;
  readonly weight?: number;
}

/** Answer to an order that was carried out. */
export interface Done {
  readonly service?: string;
  readonly target?: string;
  /** What the operator may not have meant to bring about. */
  readonly warning?: string;
  /** What a reload changed. */
  readonly changes?: readonly string[];
  /** Options whose new value waits for a restart. */
  readonly needRestart?: readonly string[];
}

/** Answer to an order that was not, with the error's HTTP status. */
export interface Refused {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

export interface Status {
  readonly pid: number;
  readonly version: string;
  readonly listen: string;
  /** Path of the file that a reload reads; absent without --config. */
  readonly config?: string;
  /** What was changed live and a reload would undo. */
  readonly differs: readonly string[];
  readonly services: readonly ServiceStatus[];
}

/** A service as the control plane knows it. */
export interface ServiceState {
  readonly name: string;
  readonly isPaused: boolean;
  readonly targets: readonly TargetState[];
}

export interface TargetState {
  readonly name: string;
  readonly weight: number;
  readonly state: string;
  readonly reason: string;
  /** How often it was taken out because requests failed. */
  readonly ejections: number;
}

/** With what it has to do, over all processes. */
export interface ServiceStatus extends ServiceState {
  /** Requests that wait for a target. */
  readonly waiting: number;
  readonly targets: readonly TargetStatus[];
}

export interface TargetStatus extends TargetState {
  readonly requestsInFlight: number;
  readonly requests: number;
}
