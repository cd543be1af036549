/** The data plane's services and the way to them, one set a process. They follow the World, by name: what stays keeps its connections and counters. */
import { noRoutes, type Routes } from "../src/config/services.ts";
import { asEvent } from "../src/io/connection.ts";
import { RouteTable } from "./route.ts";
import { type MakePool, Service } from "./service.ts";
import type { Report, ServiceLoad, World } from "./world.ts";

export class Services {
  readonly #makePool: MakePool;
  readonly #report: (report: Report) => void;
  readonly #byName = new Map<string, Service>();
  /** Most requests that all targets are given at a time; Infinity where one has no limit. */
  requestsMax = 0;
  #routes: Routes = noRoutes;
  #table: RouteTable<Service> = new RouteTable(noRoutes, (name) => this.#byName.get(name)!);

  /** `report` goes to the control plane, wherever that is. */
  constructor(makePool: MakePool, report: (report: Report) => void) {
    this.#makePool = makePool;
    this.#report = report;
  }

  /** In the World's order. */
  all(): Iterable<Service> {
    return this.#byName.values();
  }

  get(name: string): Service | undefined {
    return this.#byName.get(name);
  }

  get routes(): RouteTable<Service> {
    return this.#table;
  }

  /** An event of its own: a World comes from timers and messages, and requests that waited may go on because of it. */
  apply(world: World): void {
    asEvent(() => this.#follow(world));
  }

  #follow(world: World): void {
    const gone = new Map(this.#byName);
    let isNew = false;
    this.#byName.clear();
    for (const wanted of world.services) {
      const service = gone.get(wanted.name) ?? new Service(wanted.name, this.#makePool, this.#report);
      isNew ||= !gone.has(wanted.name);
      gone.delete(wanted.name);
      this.#byName.set(wanted.name, service);
      service.apply(wanted);
    }
    for (const service of gone.values()) service.retire();
    const targets = [...this.all()].flatMap((service) => service.targets);
    this.requestsMax = targets.reduce((sum, { requestsMax }) => sum + requestsMax, 0);
    this.#reroute(world.routes, isNew || gone.size > 0);
  }

  /** A World comes with every check that matters, new routes hardly ever. */
  #reroute(routes: Routes, areServicesOthers: boolean): void {
    if (!areServicesOthers && Bun.deepEquals(routes, this.#routes)) return;
    this.#routes = routes;
    this.#table = new RouteTable(routes, (name) => this.#byName.get(name)!);
  }

  /** How busy each is. */
  loads(): ServiceLoad[] {
    return [...this.all()].map(({ name, queue, targets }) => ({
      service: name,
      waiting: queue.depth,
      targets: targets.map((target) => {
        return { target: target.name, requestsInFlight: target.requestsInFlight, requests: target.requests };
      }),
    }));
  }

  /** Closes what no request uses, and the rest as requests end. */
  close(): void {
    for (const service of this.all()) service.close();
  }

  /** Closes what has been idle for too long. */
  sweep(now: number): void {
    for (const service of this.all()) service.sweep(now);
  }
}
