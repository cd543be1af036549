/**
 * Checks one target again and again, one check at a time. Not here: what a result means (state.ts), what follows from it (control/) and
 * how a check is made (probe.ts).
 */
import type { HostPort } from "../../src/std/units.ts";
import { Pool } from "../upstream/pool.ts";
import { probe, type ProbeOptions } from "./probe.ts";
import { type CheckResult, type Health, isInTransition } from "./state.ts";

/** Pause while the next result may change something, in milliseconds. */
const transitionMilliseconds = 500;
/** Part of the pause by which it varies, so that many balancers do not ask in step. */
const jitter = 0.1;
/**
 * Attempts to connect to a host that answers nothing cannot be taken back (upstream/pool.ts). The kernel repeats each after 1, 3, 7 and 15 s,
 * so with one begun every 15 s a host that is back is noticed within 8 s, for 13 open files at most.
 */
const dials = { failuresMax: 4, openMilliseconds: 15_000 };

export interface CheckerOptions extends ProbeOptions {
  /** Milliseconds between two checks of one target. */
  readonly healthInterval: number;
}

export class Checker {
  readonly #address: HostPort;
  /** Keeps nothing: each check has a connection of its own. */
  readonly #pool: Pool;
  #options: CheckerOptions;
  /** Takes a result and says what is known now. */
  readonly #note: (result: CheckResult) => Health;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts starts and stops, so that a check that outlived its own is not listened to. */
  #round = 0;

  constructor(address: HostPort, options: CheckerOptions, note: (result: CheckResult) => Health) {
    this.#address = address;
    this.#pool = new Pool(address, { ...options, upstreamIdleMax: 0, upstreamKeepAliveTimeout: 0 }, dials);
    this.#options = options;
    this.#note = note;
  }

  /** Counts from the next check. */
  configure(options: CheckerOptions): void {
    this.#options = options;
  }

  /** Checks at once, and goes on until stopped. */
  start(): void {
    this.stop();
    void this.#check(this.#round);
  }

  stop(): void {
    this.#round++;
    clearTimeout(this.#timer);
  }

  async #check(round: number): Promise<void> {
    const result = await probe(this.#pool, this.#address, this.#options);
    if (round !== this.#round) return;
    const health = this.#note(result);
    if (round !== this.#round) return;
    this.#timer = setTimeout(() => void this.#check(round), this.#pause(health));
  }

  #pause(health: Health): number {
    const { healthInterval } = this.#options;
    const pause = isInTransition(health) ? Math.min(transitionMilliseconds, healthInterval) : healthInterval;
    return pause * (1 - jitter + Math.random() * 2 * jitter);
  }
}
