/** One target as the control plane knows it: what is wanted of it, what is known, and the checks that find out. */
import { log } from "../../src/ops/log.ts";
import type { HostPort } from "../../src/std/units.ts";
import { Checker, type CheckerOptions } from "../health/checker.ts";
import {
  type CheckResult,
  ejectionLasts,
  type Health,
  type HealthEvent,
  type HealthRules,
  next,
  type Order,
  unknown,
} from "../health/state.ts";

/** A target as an operator names it: --backend, a line of the file, or `scale lb add`. */
export interface TargetSpec extends HostPort {
  /** HOST:PORT as given. */
  readonly name: string;
  readonly weight: number;
  /** Most requests it is given at a time; 0 for no limit. */
  readonly connectionsMax: number;
}

export type HealthOptions = CheckerOptions & HealthRules;

export class Member {
  spec: TargetSpec;
  health: Health = unknown;
  /** Why the state is what it is, in words. */
  reason = "not checked yet";
  /** Since it is known. */
  ejections = 0;
  readonly #service: string;
  #options: HealthOptions;
  readonly #checker: Checker;
  readonly #changed: () => void;
  /** Ends an ejection. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called when something is known that others may depend on. */
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
    clearTimeout(this.#timer);
  }

  /** A drained target is not asked how it is: whatever it says, it gets nothing. */
  order(order: Order): void {
    if (!this.#note(order)) return;
    if (order.kind === "drain") this.#checker.stop();
    else this.#checker.start();
    this.#changed();
  }

  /** Takes it out for a while, because of what requests have met. */
  eject(reason: string): void {
    if (!this.#note({ kind: "errors", reason })) return;
    this.ejections++;
    const lasts = ejectionLasts(this.health, this.#options);
    this.#timer = setTimeout(() => this.#endEjection(), lasts);
    this.#changed();
  }

  #endEjection(): void {
    this.#note({ kind: "over" });
    this.#changed();
  }

  /** Most checks say what the one before said, and describing the World for each would cost more than the checks. */
  #checked(result: CheckResult): Health {
    const before = this.health;
    this.#note(result);
    if (!Bun.deepEquals(before, this.health)) this.#changed();
    return this.health;
  }

  /** Whether the state is another. */
  #note(event: HealthEvent): boolean {
    const from = this.health.state;
    this.health = next(this.health, event, this.#options, Date.now());
    const to = this.health.state;
    if (from === to) return false;
    if (from === "ejected") clearTimeout(this.#timer);
    this.reason = reasonOf(event, this.health);
    const { name } = this.spec;
    const line = { target: name, service: this.#service, from, to, reason: this.reason };
    const message = `${name}: ${from} → ${to} (${this.reason})`;
    if (to === "healthy" || to === "joining" || to === "drained") log.info(line, message);
    else log.warn(line, message);
    return true;
  }
}

/** Why an event led to this health, in words. */
function reasonOf(event: HealthEvent, { passes }: Health): string {
  switch (event.kind) {
    case "pass":
      return `${passes} passed`;
    case "over":
      return "its ejection is over";
    case "drain":
    case "undrain":
      return `the operator's ${event.kind}`;
    default:
      return event.reason;
  }
}
