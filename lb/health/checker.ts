/**
 * Checks every target of a service and publishes who may be routed to. One loop a target, one check at a time; each change of state is
 * a log line with its reason. Not here: what a result means (state.ts) and how a check is made (probe.ts).
 */
import { log } from "../../src/ops/log.ts";
import type { Service } from "../service.ts";
import type { Target } from "../target.ts";
import { probe, type ProbeOptions } from "./probe.ts";
import { type CheckResult, type Health, isInTransition, next, routableOf, type Thresholds, unknown } from "./state.ts";

/** Pause while the next result may change something, in milliseconds. */
const transitionMilliseconds = 500;
/** Part of the pause by which it varies, so that many balancers do not ask in step. */
const jitter = 0.1;

export interface CheckerOptions extends ProbeOptions, Thresholds {
  /** Milliseconds between two checks of one target. */
  readonly healthInterval: number;
}

export class Checker {
  readonly #service: Service;
  readonly #options: CheckerOptions;
  readonly #health = new Map<Target, Health>();
  readonly #timers = new Map<Target, ReturnType<typeof setTimeout>>();
  #isStopped = false;

  constructor(service: Service, options: CheckerOptions) {
    this.#service = service;
    this.#options = options;
    for (const target of service.targets) this.#health.set(target, unknown);
    this.#publish();
  }

  healthOf(target: Target): Health {
    return this.#health.get(target) ?? unknown;
  }

  /** Checks everything at once, and goes on until stopped. */
  start(): void {
    for (const target of this.#service.targets) void this.#check(target);
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #check(target: Target): Promise<void> {
    const result = await probe(target.backend, this.#options);
    if (this.#isStopped) return;
    this.#note(target, result);
    this.#timers.set(
      target,
      setTimeout(() => void this.#check(target), this.#pause(this.healthOf(target))),
    );
  }

  #note(target: Target, result: CheckResult): void {
    const before = this.healthOf(target);
    const after = next(before, result, this.#options);
    this.#health.set(target, after);
    if (before.state !== after.state) this.#logChange(target, before, after, result);
    this.#publish();
  }

  #publish(): void {
    this.#service.publish(routableOf(this.#service.targets, (target) => this.healthOf(target)));
  }

  #pause(health: Health): number {
    const { healthInterval } = this.#options;
    const pause = isInTransition(health) ? Math.min(transitionMilliseconds, healthInterval) : healthInterval;
    return pause * (1 - jitter + Math.random() * 2 * jitter);
  }

  #logChange(target: Target, before: Health, after: Health, result: CheckResult): void {
    const reason = result.kind === "pass" ? `${after.passes} passed` : result.reason;
    const line = { target: target.name, service: this.#service.name, from: before.state, to: after.state, reason };
    const message = `${target.name}: ${before.state} → ${after.state} (${reason})`;
    if (after.state === "healthy") log.info(line, message);
    else log.warn(line, message);
  }
}
