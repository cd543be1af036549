/**
 * The control plane: what is wanted (services, targets, weights, the operator's orders) and what is known (checks). Each change that
 * matters to the data plane is published as a new World; the data plane never asks. Runs once a balancer, however many processes
 * carry its traffic. Invariant: knows nothing of sockets, processes or requests.
 */
import type { Routes } from "../../src/config/services.ts";
import type { ServiceState } from "../../src/ops/control_protocol.ts";
import { log } from "../../src/ops/log.ts";
import { ScaleError } from "../../src/std/errors.ts";
import type { Report, World } from "../world.ts";
import { Group, type ServiceSpec } from "./group.ts";
import type { TargetSpec } from "./member.ts";

/** What is to be balanced, as flags and file say it. */
export interface Wanted {
  readonly services: readonly ServiceSpec[];
  readonly routes: Routes;
}

export class ControlPlane {
  readonly #publish: (world: World) => void;
  readonly #groups = new Map<string, Group>();
  #configured: Wanted;
  #isStarted = false;
  #world: World;

  /** `publish` gets each World that differs from the one before; the first is `world`. */
  constructor(wanted: Wanted, publish: (world: World) => void) {
    this.#publish = publish;
    this.#configured = wanted;
    for (const spec of wanted.services) this.#groups.set(spec.name, new Group(spec, () => this.#changed()));
    this.#world = this.#describe();
  }

  get world(): World {
    return this.#world;
  }

  /** What flags and file said last. */
  get configured(): Wanted {
    return this.#configured;
  }

  /** What is so now: what they said, and what was changed live. */
  get wanted(): Wanted {
    return { services: [...this.#groups.values()].map(({ spec }) => spec), routes: this.#configured.routes };
  }

  /** Makes services, targets and routes what flags and file say. What stays keeps its health; drained and paused stay so. */
  configure(wanted: Wanted): void {
    this.#configured = wanted;
    const gone = new Map(this.#groups);
    this.#groups.clear();
    for (const spec of wanted.services) {
      const group = gone.get(spec.name) ?? new Group(spec, () => this.#changed());
      this.#groups.set(spec.name, group);
      if (gone.delete(spec.name)) group.configure(spec);
      else if (this.#isStarted) group.start();
    }
    for (const group of gone.values()) group.stop();
    this.#changed();
  }

  /** What an operator is shown, service by service. */
  status(): ServiceState[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  /** Checks every target at once, and goes on until stopped. */
  start(): void {
    this.#isStarted = true;
    for (const group of this.#groups.values()) group.start();
  }

  stop(): void {
    this.#isStarted = false;
    for (const group of this.#groups.values()) group.stop();
  }

  /** What the data plane has met. Of a service or target that has gone meanwhile it is no news. */
  report({ service, target, reason }: Report): void {
    this.#groups.get(service)?.report(target, reason);
  }

  // The operator's orders. All throw not_found for a service or target that is not there; what is so already is no error.

  /** Throws conflict for a target that is there already. It gets requests after its first pass. */
  add(service: string, target: TargetSpec): void {
    this.#groupOf(service).add(target);
    this.#changed();
  }

  /** The target gets nothing more, finishes what it has, and is forgotten. */
  remove(service: string, target: string): void {
    this.#groupOf(service).remove(target);
    this.#changed();
  }

  /** The target gets nothing more, and finishes what it has. */
  drain(service: string, target: string): void {
    this.#groupOf(service).order(target, { kind: "drain" });
  }

  /** The target gets requests again after its next pass. */
  undrain(service: string, target: string): void {
    this.#groupOf(service).order(target, { kind: "undrain" });
  }

  setWeight(service: string, target: string, weight: number): void {
    this.#groupOf(service).setWeight(target, weight);
    this.#changed();
  }

  /** Requests wait, as long as their deadline allows. */
  pause(service: string): void {
    this.#groupOf(service).isPaused = true;
    this.#changed();
  }

  resume(service: string): void {
    this.#groupOf(service).isPaused = false;
    this.#changed();
  }

  #changed(): void {
    const world = this.#describe();
    if (Bun.deepEquals(world, this.#world)) return;
    tellPanic(this.#world, world);
    this.#world = world;
    this.#publish(world);
  }

  #describe(): World {
    return { routes: this.#configured.routes, services: [...this.#groups.values()].map((group) => group.world()) };
  }

  #groupOf(name: string): Group {
    const found = this.#groups.get(name);
    if (found !== undefined) return found;
    const names = [...this.#groups.keys()].join(", ") || "none";
    throw new ScaleError("not_found", `there is no service ${name}; there is ${names}`);
  }
}

/** Says once that a panic has begun, and once that it is over. */
function tellPanic(before: World, after: World): void {
  const panicking = new Set(before.services.filter(({ isPanic }) => isPanic).map(({ name }) => name));
  for (const { name, isPanic } of after.services) {
    if (isPanic === panicking.has(name)) continue;
    if (isPanic) log.warn({ service: name }, `service ${name}: panic, so few targets are healthy that all are used`);
    else log.info({ service: name }, `service ${name}: the panic is over, only healthy targets are used`);
  }
}
