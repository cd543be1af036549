/** One service as the control plane knows it: its members, whether it is paused, and what of both the World says. */
import { targetsMax } from "../../src/config/services.ts";
import type { ServiceState } from "../../src/ops/control_protocol.ts";
import { ScaleError } from "../../src/std/errors.ts";
import { stickyToken } from "../balance/sticky.ts";
import { mayEject, routingOf, slowStarts } from "../health/routing.ts";
import type { Health, Order } from "../health/state.ts";
import type { BalanceName, WorldService } from "../world.ts";
import { type HealthOptions, Member, type TargetSpec } from "./member.ts";
import { stickyKeyOf, type StickyOptions } from "./sticky_key.ts";

export interface ServiceOptions extends HealthOptions, StickyOptions {
  readonly balance: BalanceName;
  readonly queueDepthMax: number;
  readonly queueTimeout: number;
  /** Failed requests in a row that eject a target; 0 for never. */
  readonly ejectionErrors: number;
  readonly ejectionPercentMax: number;
  readonly panicPercent: number;
  /** Milliseconds. */
  readonly slowStart: number;
}

export interface ServiceSpec {
  readonly name: string;
  readonly options: ServiceOptions;
  readonly targets: readonly TargetSpec[];
}

export class Group {
  readonly name: string;
  isPaused = false;
  #options: ServiceOptions;
  #stickyKey: string;
  readonly #members = new Map<string, Member>();
  readonly #changed: () => void;
  #isStarted = false;

  constructor({ name, options, targets }: ServiceSpec, changed: () => void) {
    this.name = name;
    this.#options = options;
    this.#stickyKey = stickyKeyOf(options, name);
    this.#changed = changed;
    for (const spec of targets) this.add(spec);
  }

  /** As it is now, whoever said so. */
  get spec(): ServiceSpec {
    return { name: this.name, options: this.#options, targets: [...this.#members.values()].map(({ spec }) => spec) };
  }

  /** Makes targets and settings those of the spec. A target that stays keeps its health, and what was ordered of it. */
  configure({ options, targets }: ServiceSpec): void {
    if (options.stickyCookie !== this.#options.stickyCookie) this.#stickyKey = stickyKeyOf(options, this.name);
    this.#options = options;
    const gone = new Map(this.#members);
    for (const spec of targets) {
      const member = gone.get(spec.name);
      gone.delete(spec.name);
      if (member === undefined) this.add(spec);
      else member.configure(spec, options);
    }
    for (const name of gone.keys()) this.remove(name);
  }

  start(): void {
    this.#isStarted = true;
    for (const member of this.#members.values()) member.start();
  }

  stop(): void {
    this.#isStarted = false;
    for (const member of this.#members.values()) member.stop();
  }

  add(spec: TargetSpec): void {
    if (this.#members.has(spec.name)) {
      throw new ScaleError("conflict", `service ${this.name} has the target ${spec.name} already`, {
        hint: "change its weight, or remove it first",
      });
    }
    if (this.#members.size >= targetsMax) {
      throw new ScaleError("conflict", `service ${this.name} has ${targetsMax} targets, the most there can be`);
    }
    const member = new Member(spec, this.name, this.#options, this.#changed);
    this.#members.set(spec.name, member);
    if (this.#isStarted) member.start();
  }

  remove(name: string): void {
    this.#memberOf(name).stop();
    this.#members.delete(name);
  }

  order(name: string, order: Order): void {
    this.#memberOf(name).order(order);
  }

  setWeight(name: string, weight: number): void {
    const member = this.#memberOf(name);
    member.spec = { ...member.spec, weight };
  }

  /** Requests to a target failed one after the other. What follows depends on the others too. */
  report(name: string, reason: string): void {
    const member = this.#members.get(name);
    if (member === undefined || !mayEject(this.#healths, this.#options.ejectionPercentMax)) return;
    member.eject(reason);
  }

  world(): WorldService {
    const { name, isPaused } = this;
    const { balance, stickyCookie = "", queueDepthMax, queueTimeout, ejectionErrors, slowStart } = this.#options;
    const settings = { balance, stickyCookie, queueDepthMax, queueTimeout, ejectionErrors, slowStart };
    const healths = this.#healths;
    const { routings, isPanic } = routingOf(healths, this.#options.panicPercent);
    const slow = slowStarts(healths, slowStart);
    const targets = [...this.#members.values()].map(({ spec }, index) => ({
      name: spec.name,
      host: spec.host,
      port: spec.port,
      weight: spec.weight,
      connectionsMax: spec.connectionsMax,
      routing: routings[index]!,
      slowSince: slow[index]!,
      stickyToken: stickyCookie === "" ? "" : stickyToken(this.#stickyKey, name, spec.name),
    }));
    return { name, ...settings, isPaused, isPanic, targets };
  }

  status(): ServiceState {
    const targets = [...this.#members.values()].map(({ spec, health, reason, ejections }) => ({
      name: spec.name,
      weight: spec.weight,
      state: health.state,
      reason,
      ejections,
    }));
    return { name: this.name, isPaused: this.isPaused, targets };
  }

  get #healths(): readonly Health[] {
    return [...this.#members.values()].map(({ health }) => health);
  }

  #memberOf(name: string): Member {
    const found = this.#members.get(name);
    if (found !== undefined) return found;
    const names = [...this.#members.keys()].join(", ") || "none";
    throw new ScaleError("not_found", `service ${this.name} has no target ${name}; it has ${names}`);
  }
}
