/**
 * A named group of targets, who of them is picked for a request, and who waits. What is in the group is the World's (world.ts); the
 * data plane reads the lists of the moment and never waits for the control plane. Invariant: a target that stays keeps its connections
 * and counters, whatever else changes.
 */
import { clock } from "../src/std/clock.ts";
import { isSameText } from "../src/std/same_text.ts";
import type { HostPort } from "../src/std/units.ts";
import { isOpen } from "./balance/candidate.ts";
import { leastConnections } from "./balance/least_connections.ts";
import { Ring } from "./balance/ring.ts";
import { roundRobin, turnAtRandom } from "./balance/round_robin.ts";
import { twoChoices } from "./balance/two_choices.ts";
import { Durations } from "./phases.ts";
import { Target } from "./target.ts";
import type { Pool } from "./upstream/pool.ts";
import { WaitQueue } from "./wait_queue.ts";
import type { BalanceName, Report, WorldService } from "./world.ts";

export type MakePool = (address: HostPort) => Pool;

/** Shortest time between two reports of one target: it may have to stay in, and goes on failing. */
const reportMilliseconds = 500;

const noTargets: readonly Target[] = [];

export class Service {
  readonly name: string;
  readonly queue = new WaitQueue();
  readonly durations = new Durations();
  stickyCookie = "";
  isPanic = false;
  /** Milliseconds that a request may wait for room. */
  queueTimeout = 0;
  readonly #makePool: MakePool;
  readonly #report: (report: Report) => void;
  readonly #hasRoom = (): boolean => !this.#isPaused && this.#routable.some((target) => isOpen(target, noTargets));
  #targets: readonly Target[] = noTargets;
  #routable: readonly Target[] = noTargets;
  #balance: BalanceName = "round_robin";
  /** Of the routable targets, where the balance needs one. */
  #ring: Ring<Target> | undefined;
  #isPaused = false;
  #ejectionErrors = 0;
  #slowStart = 0;

  /** `report` is told of a target whose requests fail one after the other. */
  constructor(name: string, makePool: MakePool, report: (report: Report) => void) {
    this.name = name;
    this.#makePool = makePool;
    this.#report = report;
  }

  get targets(): readonly Target[] {
    return this.#targets;
  }

  get routable(): readonly Target[] {
    return this.#routable;
  }

  /** Makes everything as `wanted`. A target that is gone finishes the requests it has, and its connections close as they do. */
  apply(wanted: WorldService): void {
    const isNew = this.#targets.length === 0;
    this.#follow(wanted);
    this.#routable = this.#targets.filter(({ routing }) => routing === "routable");
    this.#balance = wanted.balance;
    if (wanted.balance !== "ip_hash") this.#ring = undefined;
    else if (this.#ring?.isOf(this.#routable) !== true) this.#ring = new Ring(this.#routable);
    this.stickyCookie = wanted.stickyCookie;
    this.queue.depthMax = wanted.queueDepthMax;
    this.queueTimeout = wanted.queueTimeout;
    this.#ejectionErrors = wanted.ejectionErrors;
    this.#slowStart = wanted.slowStart;
    this.#isPaused = wanted.isPaused;
    this.isPanic = wanted.isPanic;
    this.#weigh();
    if (isNew) turnAtRandom(this.#targets);
    this.queue.advance(this.#hasRoom);
  }

  #follow({ targets }: WorldService): void {
    const gone = new Map(this.#targets.map((target) => [target.name, target]));
    this.#targets = targets.map((each) => {
      const target = gone.get(each.name) ?? new Target(each.name, this.#makePool(each));
      gone.delete(each.name);
      target.apply(each);
      return target;
    });
    for (const target of gone.values()) target.pool.close();
  }

  /** Closes every connection that no request uses, now or once none does. */
  close(): void {
    for (const target of this.#targets) target.pool.close();
  }

  /** It is no longer wanted: who waits goes on, what is under way is finished. */
  retire(): void {
    this.#isPaused = false;
    this.queue.advance(this.#hasRoom);
    this.close();
  }

  sweep(now: number): void {
    for (const target of this.#targets) target.pool.sweep(now);
    this.#weigh();
  }

  #weigh(): void {
    const now = Date.now();
    for (const target of this.#targets) target.weigh(now, this.#slowStart);
  }

  /**
   * The target for a request, other than those it was tried on; undefined if it must wait or there is none. `token` is its sticky
   * cookie's, "" if it has none. Hot.
   */
  pick(tried: readonly Target[], clientAddress: string, token: string): Target | undefined {
    if (this.#isPaused) return undefined;
    const stuck = token === "" ? undefined : this.#ofToken(token, tried);
    return stuck ?? this.#pickBy(tried, clientAddress);
  }

  #pickBy(tried: readonly Target[], clientAddress: string): Target | undefined {
    switch (this.#balance) {
      case "round_robin":
        return roundRobin(this.#routable, tried);
      case "least_connections":
        return leastConnections(this.#routable, tried);
      case "two_choices":
        return twoChoices(this.#routable, tried);
      case "ip_hash":
        return this.#ring!.pick(clientAddress, tried);
    }
  }

  #ofToken(token: string, tried: readonly Target[]): Target | undefined {
    return this.#routable.find((target) => isSameText(target.stickyToken, token) && isOpen(target, tried));
  }

  /** Whether a target that a request was not tried on may have room for it later. */
  isWorthWaiting(tried: readonly Target[]): boolean {
    return this.#isPaused || this.#routable.some((target) => !tried.includes(target));
  }

  /** A request has ended at `target`, or never came to it: whoever waits may go on. */
  leave(target: Target): void {
    target.requestsInFlight--;
    if (this.queue.depth > 0) this.queue.advance(this.#hasRoom);
  }

  /** A request failed at `target`, by the target's fault. */
  failed(target: Target, reason: string): void {
    const errors = ++target.errorsInRow;
    if (this.#ejectionErrors === 0 || errors < this.#ejectionErrors) return;
    if (target.reportedAt + reportMilliseconds > clock.now) return;
    target.reportedAt = clock.now;
    this.#report({ service: this.name, target: target.name, reason: `${errors} errors in a row, the last: ${reason}` });
  }
}
