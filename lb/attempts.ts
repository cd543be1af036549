/**
 * One request's way through the targets of its service: the one it is with, those it was tried on, and whether it may be tried again.
 * Counts what targets are given and what becomes of it. Not here: connections and bytes (exchange.ts), and the rules (retry.ts).
 * Invariant: a request is counted as in flight at no more than one target, from `choose` to `leave`.
 */
import { clock } from "../src/std/clock.ts";
import { isSafe, length, type RequestHead } from "../src/wire/message.ts";
import { cookieOf, stickyCookie } from "./balance/sticky.ts";
import type { Balancer } from "./balancer.ts";
import { Replay } from "./replay.ts";
import { type Failure, retryVerdict } from "./retry.ts";
import type { Service } from "./service.ts";
import type { Target } from "./target.ts";

const noTargets: readonly Target[] = [];

export class Attempts {
  readonly service: Service;
  target: Target | undefined;
  /** A request of a method without a body, or whose body was not read yet, needs none. */
  replay: Replay | undefined;
  /** A kept connection was closed: others of the same age may be, wherever they lead. */
  needsNew = false;
  readonly #balancer: Balancer;
  readonly #head: RequestHead;
  readonly #clientAddress: string;
  /** What the client's sticky cookie says, "" if it says nothing. */
  readonly #stickyToken: string;
  #tried: readonly Target[] = noTargets;
  /** When the first attempt was made, in milliseconds of the clock. */
  #firstAt = 0;

  constructor(balancer: Balancer, service: Service, head: RequestHead, clientAddress: string) {
    this.service = service;
    this.#balancer = balancer;
    this.#head = head;
    this.#clientAddress = clientAddress;
    this.#stickyToken = service.stickyCookie === "" ? "" : cookieOf(head.fields, service.stickyCookie);
    if (head.bodyLength > 0 || head.bodyLength === length.unknown) {
      this.replay = new Replay(balancer.config.replayBytesMax);
    }
  }

  /** Retries so far. */
  get retries(): number {
    return this.#tried.length;
  }

  /** Takes a place at the next target; undefined if none has one. */
  choose(): Target | undefined {
    const target = this.service.pick(this.#tried, this.#clientAddress, this.#stickyToken);
    if (target === undefined) return undefined;
    if (this.#firstAt === 0) this.#begin();
    this.target = target;
    target.requestsInFlight++;
    target.requests++;
    return target;
  }

  /** What is refused before it comes to a target earns no retries for others. */
  #begin(): void {
    this.#firstAt = clock.now;
    this.#balancer.retryBudget.deposit();
  }

  /** Whether a target may have a place later. */
  get isWorthWaiting(): boolean {
    return this.service.isWorthWaiting(this.#tried);
  }

  /** Gives the place back. */
  leave(): void {
    const { target } = this;
    this.target = undefined;
    if (target !== undefined) this.service.leave(target);
  }

  /**
   * What follows from a failure: "elsewhere" after the place was given back, "same" where the place is kept and the same target is to be
   * tried on a new connection, "no" if that was it.
   */
  after(failure: Failure): "no" | "elsewhere" | "same" {
    if (failure === "begun") return "no";
    const { config, retryBudget, counters } = this.#balancer;
    const tried = [...this.#tried, this.target!];
    const verdict = retryVerdict(failure, {
      isSafe: isSafe(this.#head.method),
      isBodyKept: this.replay?.isWhole ?? true,
      made: tried.length,
      retriesMax: config.retriesMax,
      left: this.#timeLeft,
    });
    const isElsewhere = this.service.isWorthWaiting(tried);
    if (verdict === "no" || (verdict === "elsewhere" && !isElsewhere)) return "no";
    if (!retryBudget.take(clock.now)) return "no";
    counters.retries[failure]++;
    this.needsNew = failure === "stale" || failure === "unsent";
    this.#tried = tried;
    if (!isElsewhere) return "same";
    this.leave();
    return "elsewhere";
  }

  /** The target failed the request, by its own fault. */
  failed(reason: string): void {
    this.service.failed(this.target!, reason);
  }

  /** The target answered. Gateway errors are answers, and failures all the same: it could not do what it is there for. */
  answered(status: number): void {
    const target = this.target!;
    target.responses++;
    if (status >= 502 && status <= 504) this.failed(`status ${status}`);
    else target.errorsInRow = 0;
  }

  /** Milliseconds of `wait` that are left: all of it for the first attempt; further ones share what it had. */
  left(wait: number): number {
    return this.#tried.length === 0 ? wait : Math.min(wait, this.#timeLeft);
  }

  get #timeLeft(): number {
    return this.#firstAt + this.#balancer.config.firstByteTimeout - clock.now;
  }

  /** Set-Cookie that holds the client to this target; undefined where nothing is to be said. */
  get stickyField(): string | undefined {
    const { stickyCookie: cookie } = this.service;
    const { stickyToken } = this.target!;
    return cookie === "" || stickyToken === this.#stickyToken ? undefined : stickyCookie(cookie, stickyToken);
  }
}
