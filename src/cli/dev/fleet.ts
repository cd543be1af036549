/**
 * The applications and the worker of `scale dev`, and their reload: a fresh child takes over, then the old one drains. Each
 * application has two ports that take turns, and the balancer knows all of them: so the public port never closes, and a fresh child
 * that does not start leaves the old one serving.
 */
import type { Config } from "../../config/options.ts";
import { type Plan, Supervised, type Surroundings } from "../../ops/supervised.ts";
import { withDeadline } from "../../std/deadline.ts";
import { messageOf } from "../../std/errors.ts";
import { formatDuration } from "../../std/units.ts";
import { appPlan, type StoreUrls, workerPlan } from "./plan.ts";

/** A place in the fleet and the child that fills it now. */
interface Slot {
  readonly plans: readonly [Plan, Plan];
  /** Where each plan's child listens; a worker listens nowhere. */
  readonly ports: readonly [number, number] | undefined;
  turn: 0 | 1;
  child: Supervised;
}

const killMilliseconds = 8_000;
const startMilliseconds = 20_000;
const routedPollMilliseconds = 20;

/** Whether the balancer routes to an application that listens on this port. Never rejects. */
export type Routed = (port: number) => Promise<boolean>;

export class Fleet {
  readonly #surroundings: Surroundings;
  readonly #slots: Slot[];
  readonly #routed: Routed;
  /** Reloads one after another; the last asked for is the last done. */
  #reloading: Promise<void> = Promise.resolve();
  #asked = 0;
  /** Of a reload under way: it has no place yet. */
  #fresh: Supervised | undefined;
  #stopping = false;

  /** `ports` holds two for each application. */
  constructor(config: Config, ports: readonly number[], stores: StoreUrls, surroundings: Surroundings, routed: Routed) {
    this.#surroundings = surroundings;
    this.#routed = routed;
    const place = (plans: Slot["plans"], its?: readonly [number, number]): Slot => {
      return { plans, ports: its, turn: 0, child: new Supervised(plans[0], surroundings) };
    };
    const apps = Array.from({ length: ports.length / 2 }, (_, index) => {
      const pair = [ports[2 * index]!, ports[2 * index + 1]!] as const;
      const plan = (port: number) => appPlan(config, `app-${index + 1}`, port, stores);
      return place([plan(pair[0]), plan(pair[1])], pair);
    });
    const worker = workerPlan(config, stores);
    this.#slots = [...apps, place([worker, worker])];
  }

  get children(): readonly Supervised[] {
    const placed = this.#slots.map((slot) => slot.child);
    return this.#fresh === undefined ? placed : [...placed, this.#fresh];
  }

  /** Starts all; rejects with the first that could not. */
  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.child.start()));
  }

  /** Replaces every child by a fresh one. Asked again meanwhile, it runs once more at the end. */
  reload(file: string): Promise<void> {
    const asked = ++this.#asked;
    this.#reloading = this.#reloading.then(() =>
      asked === this.#asked && !this.#stopping ? this.#replaceAll(file) : undefined,
    );
    return this.#reloading;
  }

  async #replaceAll(file: string): Promise<void> {
    const startedAt = Date.now();
    for (const slot of this.#slots) {
      if (this.#stopping) return;
      const turn = slot.turn === 0 ? 1 : 0;
      const fresh = new Supervised(slot.plans[turn], this.#surroundings);
      this.#fresh = fresh;
      try {
        await withDeadline(
          this.#takesOver(fresh, slot.ports?.[turn]),
          startMilliseconds,
          () => new Error(`not ready after ${formatDuration(startMilliseconds)}`),
        );
      } catch (error) {
        await fresh.stop(0);
        if (this.#stopping) return;
        this.#surroundings.say(
          `${file} changed, and ${slot.plans[turn].name} does not start with it; the old one goes on serving. ${messageOf(error)}`,
        );
        return;
      } finally {
        this.#fresh = undefined;
      }
      const old = slot.child;
      Object.assign(slot, { turn, child: fresh });
      await old.stop(killMilliseconds);
    }
    this.#surroundings.say(`${file} changed: reloaded in ${Date.now() - startedAt} ms`);
  }

  /** Ready itself, and known to the balancer as ready: before that the old child is the only one that is routed to. */
  async #takesOver(fresh: Supervised, port: number | undefined): Promise<void> {
    await fresh.start();
    while (port !== undefined && fresh.state === "ready" && !(await this.#routed(port))) {
      await Bun.sleep(routedPollMilliseconds);
    }
    if (fresh.state !== "ready") throw new Error(`${fresh.plan.name} did not stay ready`);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.children.map((child) => child.stop(killMilliseconds)));
    await this.#reloading;
  }
}
