/**
 * One child that is kept running, by `scale dev` or by the supervisor of a role's processes:
 *
 *     idle ──start()──▶ starting ──ready──▶ ready ──dies──▶ waiting (backoff) ──▶ starting
 *                          ├──dies the first time──▶ stopped     ▲
 *                          ├──dies later─────────────────────────┤
 *                          └──not ready in time, is ended────────┘
 *     starting, ready ──stop()──▶ stopping ──exits──▶ stopped
 *     idle, waiting ──stop()──▶ stopped
 *
 * What the child is (flags, environment) is its Plan; which children there are is cli/dev's and processes.ts'.
 */
import { type Child, type Ended, spawnChild } from "../io/spawn.ts";
import { type ErrorCode, messageOf, ScaleError } from "../std/errors.ts";
import { formatDuration } from "../std/units.ts";
import type { Readiness } from "./admin.ts";

export type State = "idle" | "starting" | "ready" | "waiting" | "stopping" | "stopped";

/** How a child is started. */
export interface Plan {
  /** Name in front of its lines: lb, app-1, worker. */
  readonly name: string;
  readonly command: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** Asked every few milliseconds until it is ready. Never rejects. */
  readonly readiness: (pid: number) => Promise<Pick<Readiness, "ready" | "reason">>;
  /** A child that is not ready by then is ended and started again; 0: it has all the time it wants. */
  readonly readyWithin?: number;
  /** Gives the child a channel: what it sends. */
  readonly onMessage?: (message: unknown, pid: number) => void;
  /** Before anything that it sends. */
  readonly onStarted?: (pid: number) => void;
  /** Once for every child that was started. */
  readonly onEnded?: (pid: number) => void;
}

export interface Surroundings {
  /** What the child writes: whole lines, each with its newline. */
  write(name: string, lines: string): void;
  /** What the supervisor itself has to say of the child. */
  say(text: string): void;
}

const backoffMilliseconds = [200, 500, 1_000, 2_000, 5_000];
/** A child that ran this long has recovered: the next death starts the backoff anew. */
const steadyMilliseconds = 10_000;
const readyPollMilliseconds = 20;
/** A child that is given up and does not end by SIGTERM hangs. */
const giveUpMilliseconds = 5_000;

/** The code of the supervisor's own failure, by the exit code of the child that was the reason. */
const failures: { readonly [code: number]: ErrorCode } = { 2: "usage", 78: "configuration_invalid" };

export class Supervised {
  readonly plan: Plan;
  readonly #surroundings: Surroundings;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #wasReady = Promise.withResolvers<void>();
  #state: State = "idle";
  #child: Child | undefined;
  #deaths = 0;
  #startedAt = 0;
  #reason: string | undefined;
  /** Why the child is being ended by us, to be started again. */
  #givenUp: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(plan: Plan, surroundings: Surroundings) {
    this.plan = plan;
    this.#surroundings = surroundings;
  }

  get state(): State {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** For how long it has been starting, and why it is not ready, as far as that is known; undefined while it is not starting. */
  get waiting(): { readonly milliseconds: number; readonly reason: string } | undefined {
    if (this.#state !== "starting") return undefined;
    return { milliseconds: Date.now() - this.#startedAt, reason: this.#reason ?? "it has not said why" };
  }

  /**
   * Starts the child and resolves when it is ready, or when it has ended because stop() came first. Rejects where it ends by itself
   * before that, with the exit code that it had; it is not tried again then. One that is not ready in time is, until it is.
   */
  async start(): Promise<void> {
    if (this.#state !== "idle") return;
    const child = this.#spawn();
    const ended = await Promise.race([this.#readyOrEnded(child), child.exited]);
    if (ended === undefined) {
      void child.exited.then(({ how }) => this.#died(how));
      return;
    }
    if (this.#isStopped()) return this.#stopped.promise;
    if (this.#givenUp !== undefined) {
      this.#died(ended.how);
      return Promise.race([this.#wasReady.promise, this.#stopped.promise]);
    }
    this.#end();
    const message = `${this.plan.name} ended before it was ready (${ended.how}); what it wrote says why`;
    throw new ScaleError(failures[ended.code] ?? "internal", message);
  }

  /** Asks the child to drain and resolves when it has ended; `killAfter` milliseconds later it is killed. Idempotent. */
  async stop(killAfter: number): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#state === "idle" || this.#state === "waiting") this.#end();
    if (this.#child && !this.#isStopped()) {
      this.#state = "stopping";
      this.#child.kill("SIGTERM");
      const child = this.#child;
      const forced = setTimeout(() => child.kill("SIGKILL"), killAfter);
      void child.exited.then(() => {
        clearTimeout(forced);
        this.#end();
      });
    }
    await this.#stopped.promise;
  }

  /** Over the channel, where the plan has one. Lost where no child runs. */
  send(message: unknown): void {
    this.#child?.send(message);
  }

  /** As if it had come from outside: a child that ends by it is started again. */
  signal(signal: "SIGHUP" | "SIGKILL"): void {
    this.#child?.kill(signal);
  }

  /** Or about to be. */
  #isStopped(): boolean {
    return this.#state === "stopping" || this.#state === "stopped";
  }

  #end(): void {
    this.#state = "stopped";
    this.#stopped.resolve();
  }

  /** Throws, with the state as it was, where there is no such program (any more). */
  #spawn(): Child {
    const { name, command, env, onMessage, onStarted } = this.plan;
    const child: Child = spawnChild({
      command,
      env,
      onLines: (lines) => this.#surroundings.write(name, lines),
      onMessage: onMessage && ((message) => onMessage(message, child.pid)),
    });
    onStarted?.(child.pid);
    this.#child = child;
    this.#state = "starting";
    this.#startedAt = Date.now();
    this.#reason = undefined;
    this.#givenUp = undefined;
    void child.exited.then(() => this.plan.onEnded?.(child.pid));
    return child;
  }

  #died(how: string): void {
    if (this.#isStopped()) return;
    if (Date.now() - this.#startedAt > steadyMilliseconds) this.#deaths = 0;
    const pause = backoffMilliseconds[Math.min(this.#deaths++, backoffMilliseconds.length - 1)]!;
    this.#state = "waiting";
    const what = this.#givenUp ?? `ended (${how})`;
    this.#surroundings.say(`${this.plan.name} ${what}, starting it again in ${formatDuration(pause)}`);
    this.#timer = setTimeout(() => this.#again(), pause);
  }

  #again(): void {
    try {
      const child = this.#spawn();
      void this.#readyOrEnded(child).then((ended) => {
        if (ended === undefined) this.#surroundings.say(`${this.plan.name} is ready again`);
      });
      void child.exited.then(({ how }) => this.#died(how));
    } catch (error) {
      this.#died(messageOf(error));
    }
  }

  /** Resolves with nothing when the child is ready, or with how it ended before that. */
  async #readyOrEnded(child: Child): Promise<Ended | undefined> {
    // It may end, or be told to stop, while it is being asked.
    const isStarting = () => this.#state === "starting" && this.#child === child;
    while (isStarting()) {
      const { ready, reason } = await this.plan.readiness(child.pid);
      if (!isStarting()) break;
      if (ready) {
        this.#state = "ready";
        this.#wasReady.resolve();
        return undefined;
      }
      this.#reason = reason;
      if (this.#isLate()) return this.#giveUp(child);
      await Bun.sleep(readyPollMilliseconds);
    }
    return child.exited;
  }

  #isLate(): boolean {
    const { readyWithin = 0 } = this.plan;
    return readyWithin > 0 && Date.now() - this.#startedAt > readyWithin;
  }

  #giveUp(child: Child): Promise<Ended> {
    const { readyWithin = 0 } = this.plan;
    this.#givenUp = `is not ready after ${formatDuration(readyWithin)} (${this.#reason ?? "it has not said why"}) and was ended`;
    child.kill("SIGTERM");
    const forced = setTimeout(() => child.kill("SIGKILL"), giveUpMilliseconds);
    void child.exited.then(() => clearTimeout(forced));
    return child.exited;
  }
}
