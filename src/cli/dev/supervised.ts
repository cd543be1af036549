/**
 * One child of `scale dev` that is kept running:
 *
 *     starting ──ready──▶ ready ──dies──▶ waiting (backoff) ──▶ starting
 *         │                 │                   │
 *         └─────dies────▶ waiting               │
 *     any ──stop()──▶ stopping ──exits──▶ stopped
 *
 * What the child is (flags, environment) is plan.ts; which children there are is dev.ts.
 */
import { type Child, spawnChild } from "../../io/spawn.ts";
import { ScaleError } from "../../std/errors.ts";
import { formatDuration } from "../../std/units.ts";

export type State = "starting" | "ready" | "waiting" | "stopping" | "stopped";

/** How a child is started. */
export interface Plan {
  /** Name in front of its lines: lb, app-1, worker. */
  readonly name: string;
  readonly command: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** Asked every few milliseconds until it says yes. Never rejects. */
  readonly isReady: (pid: number) => Promise<boolean>;
}

export interface Surroundings {
  readonly onLine: (name: string, line: string) => void;
  /** What the supervisor itself has to say of the child. */
  readonly say: (text: string) => void;
}

const backoffMilliseconds = [200, 500, 1_000, 2_000, 5_000];
/** A child that ran this long has recovered: the next death starts the backoff anew. */
const steadyMilliseconds = 10_000;
const readyPollMilliseconds = 20;

export class Supervised {
  readonly plan: Plan;
  readonly #surroundings: Surroundings;
  readonly #stopped = Promise.withResolvers<void>();
  #state: State = "starting";
  #child: Child | undefined;
  #deaths = 0;
  #startedAt = 0;
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

  /** Starts the child and resolves when it is ready. Rejects where the first start ends before that; it is not tried again then. */
  async start(): Promise<void> {
    const ended = this.#spawn();
    const ready = this.#whenReady();
    const outcome = await Promise.race([ready, ended]);
    if (outcome === "ready") {
      void ended.then((how) => this.#died(how));
      return;
    }
    this.#state = "stopped";
    this.#stopped.resolve();
    throw new ScaleError("internal", `${this.plan.name} ended before it was ready (${outcome})`);
  }

  /** Asks the child to drain and resolves when it has ended; `killAfter` milliseconds later it is killed. Idempotent. */
  async stop(killAfter: number): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#state === "stopped") return;
    if (this.#state === "waiting") this.#end();
    if (this.#state !== "stopping" && this.#child) {
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

  #end(): void {
    this.#state = "stopped";
    this.#stopped.resolve();
  }

  #spawn(): Promise<string> {
    this.#state = "starting";
    this.#startedAt = Date.now();
    const child = spawnChild({ ...this.plan, onLine: (line) => this.#surroundings.onLine(this.plan.name, line) });
    this.#child = child;
    return child.exited;
  }

  #died(how: string): void {
    if (this.#state === "stopping" || this.#state === "stopped") return;
    if (Date.now() - this.#startedAt > steadyMilliseconds) this.#deaths = 0;
    const pause = backoffMilliseconds[Math.min(this.#deaths++, backoffMilliseconds.length - 1)]!;
    this.#state = "waiting";
    this.#surroundings.say(`${this.plan.name} ended (${how}), starting it again in ${formatDuration(pause)}`);
    this.#timer = setTimeout(() => this.#again(), pause);
  }

  #again(): void {
    const ended = this.#spawn();
    void this.#whenReady().then((outcome) => {
      if (outcome === "ready") this.#surroundings.say(`${this.plan.name} is ready again`);
    });
    void ended.then((how) => this.#died(how));
  }

  /** Resolves with "ready" when the plan says so, or "gone" when the child is not what it was. */
  async #whenReady(): Promise<"ready" | "gone"> {
    const child = this.#child;
    while (this.#child === child && this.#state === "starting") {
      if (await this.plan.isReady(child!.pid)) {
        this.#state = "ready";
        return "ready";
      }
      await Bun.sleep(readyPollMilliseconds);
    }
    return "gone";
  }
}
