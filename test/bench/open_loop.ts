// An open loop: requests start when they are planned to, whether or not earlier ones have been answered, and each is timed from its
// planned start, so that a pause of the server's counts against every request that would have come meanwhile (no coordinated
// omission). Not here: closed loops, which measure cost (proxy/wrk.ts).

import { asEvent } from "../../src/io/connection.ts";
import { clock } from "../../src/std/clock.ts";
import { LoopConnection } from "./open_loop/connection.ts";
import { Latencies } from "./open_loop/latencies.ts";

export const about =
  "latency of a URL at a fixed rate, open loop  --url=http://… [--rate=1000] [--seconds=10] [--connections=256]";

export interface OpenLoopOptions {
  readonly url: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** Open at a time. A request planned while all are busy waits, and its time runs. */
  readonly connections: number;
}

/** How long after the last planned start answers are waited for. */
const graceMilliseconds = 10_000;
/** Longest nap between two looks at what is due: the resolution of every time measured. */
const napMilliseconds = 0.1;

/** Runs one open loop and resolves with its latencies when every request has been answered, has failed, or time is up. */
export async function openLoop(options: OpenLoopOptions): Promise<Latencies> {
  const loop = new OpenLoop(options);
  await loop.run();
  return loop.latencies;
}

class OpenLoop {
  readonly latencies: Latencies;
  readonly #interval: number;
  readonly #connections: readonly LoopConnection[];
  readonly #idle: LoopConnection[] = [];
  /** Requests started so far. */
  #started = 0;
  #startAt = 0;

  constructor({ url, perSecond, seconds, connections }: OpenLoopOptions) {
    this.latencies = new Latencies(Math.ceil(perSecond * seconds));
    this.#interval = 1_000 / perSecond;
    this.#connections = Array.from({ length: connections }, () => new LoopConnection(new URL(url), this));
  }

  async run(): Promise<void> {
    for (const connection of this.#connections) connection.open();
    while (this.#idle.length < this.#connections.length) await Bun.sleep(1);
    this.#startAt = performance.now();
    const endAt = this.#startAt + this.latencies.planned * this.#interval + graceMilliseconds;
    const cell = new Int32Array(new SharedArrayBuffer(4));
    while (!this.latencies.isComplete && performance.now() < endAt) {
      asEvent((now) => this.#startDue(now));
      // A timer is good to a millisecond only, and a spin would take a core from what is measured.
      Atomics.wait(cell, 0, 0, Math.min(napMilliseconds, Math.max(0, this.#dueAt() - performance.now())));
      await new Promise(setImmediate);
    }
    for (const connection of this.#connections) connection.close();
  }

  // From the connections

  ready(connection: LoopConnection): void {
    this.#idle.push(connection);
    this.#startDue(clock.now);
  }

  answered(plannedAt: number): void {
    this.latencies.answered(clock.now - plannedAt);
  }

  failed(reason: string): void {
    this.latencies.failed(reason);
  }

  #dueAt(): number {
    return this.#startAt + this.#started * this.#interval;
  }

  #startDue(now: number): void {
    if (this.#startAt === 0) return;
    while (this.#started < this.latencies.planned && this.#dueAt() <= now) {
      const connection = this.#idle.pop();
      if (connection === undefined) return;
      const plannedAt = this.#dueAt();
      this.#started++;
      connection.send(plannedAt);
    }
  }
}

export async function run(args: readonly string[]): Promise<boolean> {
  const given = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const url = given("url");
  if (url === undefined) throw new Error("--url is missing: --url=http://HOST:PORT/PATH");
  const latencies = await openLoop({
    url,
    perSecond: Number(given("rate") ?? 1_000),
    seconds: Number(given("seconds") ?? 10),
    connections: Number(given("connections") ?? 256),
  });
  process.stdout.write(`${latencies.describe()}\n`);
  return latencies.failures.size === 0 && latencies.isComplete;
}
