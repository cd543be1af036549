/**
 * The applications and the worker of `scale dev`, and their reload: a fresh child takes over, then the old one drains. Each
 * application has two ports that take turns, and the balancer knows all of them: so the public port never closes, and a fresh child
 * that does not start leaves the old one serving.
 */
import type { Config } from "../../config/options.ts";
import { withDeadline } from "../../std/deadline.ts";
import { messageOf } from "../../std/errors.ts";
import { formatDuration } from "../../std/units.ts";
import { appPlan, type StoreUrls, workerPlan } from "./plan.ts";
import { type Plan, Supervised, type Surroundings } from "./supervised.ts";

/** A place in the fleet and the child that fills it now. */
interface Slot {
  readonly plans: readonly [Plan, Plan];
  turn: 0 | 1;
  child: Supervised;
}

const killMilliseconds = 8_000;
const startMilliseconds = 20_000;

export class Fleet {
  readonly #surroundings: Surroundings;
  readonly #slots: Slot[];
  /** Reloads one after another; the last asked for is the last done. */
  #reloading: Promise<void> = Promise.resolve();
  #asked = 0;
  #stopping = false;

  /** `ports` holds two for each application. */
  constructor(config: Config, ports: readonly number[], stores: StoreUrls, surroundings: Surroundings) {
    this.#surroundings = surroundings;
    const worker = workerPlan(config, stores);
    const apps = Array.from({ length: ports.length / 2 }, (_, index): readonly [Plan, Plan] => [
      appPlan(config, `app-${index + 1}`, ports[2 * index]!, stores),
      appPlan(config, `app-${index + 1}`, ports[2 * index + 1]!, stores),
    ]);
    const pairs: readonly (readonly [Plan, Plan])[] = [...apps, [worker, worker]];
    this.#slots = pairs.map((plans) => ({ plans, turn: 0, child: new Supervised(plans[0], surroundings) }));
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
      try {
        await withDeadline(
          fresh.start(),
          startMilliseconds,
          () => new Error(`not ready after ${formatDuration(startMilliseconds)}`),
        );
      } catch (error) {
        await fresh.stop(0);
        this.#surroundings.say(
          `${file} changed, and ${slot.plans[turn].name} does not start with it; the old one goes on serving. ${messageOf(error)}`,
        );
        return;
      }
      const old = slot.child;
      Object.assign(slot, { turn, child: fresh });
      await old.stop(killMilliseconds);
    }
    this.#surroundings.say(`${file} changed: reloaded in ${Date.now() - startedAt} ms`);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#slots.map((slot) => slot.child.stop(killMilliseconds)));
    await this.#reloading;
    // A reload that was under way may have put a fresh child into its slot meanwhile.
    await Promise.all(this.#slots.map((slot) => slot.child.stop(killMilliseconds)));
  }
}
