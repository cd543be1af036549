/** One target as the control plane knows it: what is wanted of it, what is known, and the checks that find out. */
import { log } from "../../src/ops/log.ts";
import type { HostPort } from "../../src/std/units.ts";
import { Checker, type CheckerOptions } from "../health/checker.ts";
import { type CheckResult, type Health, next, type Order, type Thresholds, unknown } from "../health/state.ts";

/** A target as an operator names it: --backend, a line of the file, or `scale lb add`. */
export interface TargetSpec extends HostPort {
  /** HOST:PORT as given. */
  readonly name: string;
  readonly weight: number;
  /** Most requests it is given at a time; 0 for no limit. */
  readonly connectionsMax: number;
}

export type HealthOptions = CheckerOptions & Thresholds;

export class Member {
  spec: TargetSpec;
  health: Health = unknown;
  /** Why the state is what it is, in words. */
  reason = "not checked yet";
  readonly #service: string;
  #options: HealthOptions;
  readonly #checker: Checker;
  readonly #changed: () => void;

  /** `changed` is called after each check and order. */
  constructor(spec: TargetSpec, service: string, options: HealthOptions, changed: () => void) {
    this.spec = spec;
    this.#service = service;
    this.#options = options;
    this.#changed = changed;
    this.#checker = new Checker(spec, options, (result) => this.#checked(result));
  }

  configure(spec: TargetSpec, options: HealthOptions): void {
    this.spec = spec;
    this.#options = options;
    this.#checker.configure(options);
  }

  start(): void {
    this.#checker.start();
  }

  stop(): void {
    this.#checker.stop();
  }

  /** A drained target is not asked how it is: whatever it says, it gets nothing. */
  order(order: Order): void {
    const before = this.health.state;
    this.#become(next(this.health, order, this.#options), `the operator's ${order.kind}`);
    if (this.health.state === before) return;
    if (order.kind === "drain") this.#checker.stop();
    else this.#checker.start();
    this.#changed();
  }

  #checked(result: CheckResult): Health {
    const after = next(this.health, result, this.#options);
    this.#become(after, result.kind === "pass" ? `${after.passes} passed` : result.reason);
    this.#changed();
    return this.health;
  }

  #become(after: Health, reason: string): void {
    const from = this.health.state;
    const to = after.state;
    this.health = after;
    if (from === to) return;
    this.reason = reason;
    const { name } = this.spec;
    const line = { target: name, service: this.#service, from, to, reason };
    const message = `${name}: ${from} → ${to} (${reason})`;
    if (to === "unhealthy" || to === "draining") log.warn(line, message);
    else log.info(line, message);
  }
}
