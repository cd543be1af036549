/**
 * The control plane: what is wanted (services, targets, weights, the operator's orders) and what is known (checks). Each change that
 * matters to the data plane is published as a new World; the data plane never asks. Runs once a balancer, however many processes
 * carry its traffic. Invariant: knows nothing of sockets, processes or requests.
 */
import type { Routes } from "../../src/config/services.ts";
import { ScaleError } from "../../src/std/errors.ts";
import type { World } from "../world.ts";
import { Group, type ServiceSpec, type ServiceStatus } from "./group.ts";
import type { TargetSpec } from "./member.ts";

/** What is to be balanced, as flags and file say it. */
export interface Wanted {
  readonly services: readonly ServiceSpec[];
  readonly routes: Routes;
}

export class ControlPlane {
  readonly #publish: (world: World) => void;
  readonly #groups = new Map<string, Group>();
  #routes: Routes;
  #world: World;

  /** `publish` gets each World that differs from the one before; the first is `world`. */
  constructor({ services, routes }: Wanted, publish: (world: World) => void) {
    this.#publish = publish;
    this.#routes = routes;
    for (const spec of services) this.#groups.set(spec.name, new Group(spec, () => this.#changed()));
    this.#world = this.#describe();
  }

  get world(): World {
    return this.#world;
  }

  /** What an operator is shown, service by service. */
  status(): ServiceStatus[] {
    return [...this.#groups.values()].map((group) => group.status());
  }

  /** Checks every target at once, and goes on until stopped. */
  start(): void {
    for (const group of this.#groups.values()) group.start();
  }

  stop(): void {
    for (const group of this.#groups.values()) group.stop();
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
    this.#world = world;
    this.#publish(world);
  }

  #describe(): World {
    return { routes: this.#routes, services: [...this.#groups.values()].map((group) => group.world()) };
  }

  #groupOf(name: string): Group {
    const found = this.#groups.get(name);
    if (found !== undefined) return found;
    const names = [...this.#groups.keys()].join(", ") || "none";
    throw new ScaleError("not_found", `there is no service ${name}; there is ${names}`);
  }
}
