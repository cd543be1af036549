/**
 * The life of a process, the same for every role and tool:
 *
 *     starting ──ready()──▶ ready ──drain()──▶ draining ──closers done──▶ stopped
 *         └───────────────drain()────────────────▲
 *
 * drain() is idempotent and safe before ready(). A second signal, or a fault, goes to stopped at once. Exiting is main's.
 */
import { messageOf, ScaleError } from "../std/errors.ts";
import { log } from "./log.ts";

export type Phase = "starting" | "ready" | "draining" | "stopped";

const allowed: { readonly [P in Phase]: readonly Phase[] } = {
  starting: ["ready", "draining", "stopped"],
  ready: ["draining", "stopped"],
  draining: ["stopped"],
  stopped: [],
};

interface Closer {
  readonly name: string;
  readonly close: () => void | Promise<void>;
}

const parentPollMilliseconds = 500;
/** One Ctrl-C reaches a process several times: from the terminal, and from npm or a shell that passes it on. */
const echoMilliseconds = 250;

export class Lifecycle {
  #phase: Phase = "starting";
  readonly #closers: Closer[] = [];
  readonly #stopped = Promise.withResolvers<number>();
  readonly #draining = new AbortController();

  get phase(): Phase {
    return this.#phase;
  }

  /** Aborted when draining begins: for loops that take new work. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  /** Resolves with the exit code. */
  get stopped(): Promise<number> {
    return this.#stopped.promise;
  }

  /**
   * Runs `start` and resolves with the exit code. A process that is told to stop while it starts does not wait for that: what
   * still goes on, a slow entry or a database that does not answer, ends with the process.
   */
  async run(start: () => Promise<void>): Promise<number> {
    const started = start().catch((error: unknown) => {
      // On the way out, what start-up was waiting for was closed under it.
      if (this.#phase === "starting" || this.#phase === "ready") throw error;
    });
    await Promise.race([started, this.stopped]);
    return this.stopped;
  }

  /** Registers what must be closed; the last registered is closed first, each after the one before has settled. */
  onClose(name: string, close: () => void | Promise<void>): void {
    this.#closers.push({ name, close });
  }

  ready(): void {
    // A signal may have come while the process was starting: then it stays on its way out.
    if (this.#phase === "starting") this.#enter("ready", "started");
  }

  /** Takes no more work, closes everything in reverse order, and ends with `code`. */
  async drain(reason: string, code = 0): Promise<void> {
    if (this.#phase === "draining" || this.#phase === "stopped") return;
    this.#enter("draining", reason);
    this.#draining.abort();
    for (const closer of this.#closers.toReversed()) {
      try {
        await closer.close();
      } catch (error) {
        log.error({ error, part: closer.name }, `closing ${closer.name} failed: ${messageOf(error)}`);
        code ||= 1;
      }
    }
    this.#stop(code, "drained");
  }

  /**
   * SIGTERM and SIGINT drain; a second one stops at once. With `withParent`, so does the death of the parent process: of the one that is
   * it now, or, by its id, of the one that should be, which may have died between the start of this one and here.
   */
  listen({ withParent }: { readonly withParent: boolean | number }): void {
    let firstAt = 0;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        firstAt ||= performance.now();
        if (this.#phase !== "draining") void this.drain(signal);
        else if (performance.now() - firstAt > echoMilliseconds) this.#stop(1, `second ${signal}`);
      });
    }
    if (withParent !== false) this.#watchParent(withParent === true ? process.ppid : withParent);
  }

  #watchParent(parent: number): void {
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      void this.drain("the parent process is gone");
    }, parentPollMilliseconds);
    timer.unref();
  }

  #stop(code: number, reason: string): void {
    if (this.#phase === "stopped") return;
    this.#enter("stopped", reason);
    this.#stopped.resolve(code);
  }

  #enter(next: Phase, reason: string): void {
    if (!allowed[this.#phase].includes(next)) {
      throw new ScaleError("illegal_transition", `lifecycle: ${this.#phase} → ${next} (${reason}) is not a transition`);
    }
    log.info({ from: this.#phase, to: next, reason }, `${this.#phase} → ${next}`);
    this.#phase = next;
  }
}
