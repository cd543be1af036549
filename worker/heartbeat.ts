/**
 * The heartbeat: a thread that keeps this worker's leases while handlers keep the main thread. This side starts it, starts it again
 * should it end, and passes on what it reports; what it does is heartbeat_thread.ts, what both look at is lease_table.ts.
 *
 *      starting ──up──▶ up ──error, silent──▶ starting        any ──stop()──▶ stopped
 *
 * Invariant: a worker takes jobs only while its heartbeat is up.
 */
import type { Config } from "../src/config/options.ts";
import { log } from "../src/ops/log.ts";
import type { Token } from "../src/store/queue/queue.ts";
import { LeaseTable } from "./lease_table.ts";

/** What the thread is told, once. */
export interface Orders {
  readonly table: SharedArrayBuffer;
  readonly url: string;
  readonly namespace: string;
  readonly owner: string;
  readonly queues: readonly string[];
  readonly renewMs: number;
  /** Time without a turn of the main loop after which it counts as blocked. */
  readonly blockedMs: number;
  readonly log: Pick<Config, "command" | "logLevel" | "logFormat" | "instance">;
}

/** What the thread reports. `queue` is an index into the queues it was given. */
export type Notice =
  | { readonly kind: "up" }
  | { readonly kind: "blocked" }
  | { readonly kind: "lost" | "handedBack"; readonly queue: number; readonly tokens: readonly Token[] };

export interface HeartbeatOptions extends Omit<Orders, "table" | "renewMs" | "blockedMs"> {
  readonly leaseMs: number;
  /** Jobs that may be held at a time. */
  readonly heldMax: number;
  readonly onNotice: (notice: Notice) => void;
}

const renewalsPerLease = 10 / 3;
const ticksPerRenewal = 12;
const blockedMsMin = 300;
const restartMs = 500;
const silentMsMin = 3_000;

export function tickMsOf(renewMs: number): number {
  return Math.max(10, Math.round(renewMs / ticksPerRenewal));
}

export class Heartbeat {
  readonly table: LeaseTable;
  readonly #orders: Orders;
  readonly #onNotice: (notice: Notice) => void;
  readonly #pulse: ReturnType<typeof setInterval>;
  #thread: Worker | undefined;
  #state: "starting" | "up" | "stopped" = "starting";
  #beats = 0;
  #silentTicks = 0;
  #tickedAt = performance.now();
  #stoodUntil = Number.NEGATIVE_INFINITY;

  constructor({ leaseMs, heldMax, onNotice, ...orders }: HeartbeatOptions) {
    this.table = new LeaseTable(heldMax);
    this.#onNotice = onNotice;
    const renewMs = leaseMs / renewalsPerLease;
    this.#orders = { ...orders, table: this.table.buffer, renewMs, blockedMs: Math.max(blockedMsMin, renewMs) };
    this.#start();
    this.#pulse = setInterval(() => this.#tick(), tickMsOf(renewMs));
  }

  get up(): boolean {
    return this.#state === "up";
  }

  /** Whether our loop stood still for a good part of a lease at some time since then: what the store answered may be old by now. */
  stoodStill(since: number): boolean {
    return this.#stoodUntil >= since || performance.now() - this.#tickedAt > this.#orders.renewMs;
  }

  /** Idempotent. Nothing is renewed any more. */
  stop(): void {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    clearInterval(this.#pulse);
    this.#thread?.terminate();
  }

  #start(): void {
    const thread = new Worker(threadFile());
    this.#thread = thread;
    thread.addEventListener("message", ({ data }: MessageEvent<Notice>) => {
      if (data.kind === "up" && this.#state === "starting") this.#state = "up";
      this.#onNotice(data);
    });
    thread.addEventListener("error", (event) => this.#fail(thread, event.message));
    thread.addEventListener("close", () => this.#fail(thread, "it ended"));
    thread.postMessage(this.#orders);
  }

  /** Tells the thread that our loop turns, and sees whether its does. */
  #tick(): void {
    this.table.pulse();
    const now = performance.now();
    if (now - this.#tickedAt > this.#orders.renewMs) this.#stoodUntil = now;
    this.#tickedAt = now;
    const { beats } = this.table;
    this.#silentTicks = beats === this.#beats ? this.#silentTicks + 1 : 0;
    this.#beats = beats;
    const silentMs = this.#silentTicks * tickMsOf(this.#orders.renewMs);
    if (this.#state === "up" && this.#thread && silentMs > Math.max(silentMsMin, this.#orders.renewMs)) {
      this.#fail(this.#thread, "it is silent");
    }
  }

  #fail(thread: Worker, reason: string): void {
    if (this.#state === "stopped" || this.#thread !== thread) return;
    log.error({ reason }, `the heartbeat's thread failed: ${reason}; no job is taken until it is up again`);
    this.#state = "starting";
    this.#thread = undefined;
    this.#silentTicks = 0;
    thread.terminate();
    setTimeout(() => this.#state === "starting" && this.#start(), restartMs);
  }
}

/** Inside the binary an extra entry point lies under its path; run from source it is the file beside this one. */
function threadFile(): string {
  return Bun.main.startsWith("/$bunfs/")
    ? "/$bunfs/root/worker/heartbeat_thread.js"
    : new URL("./heartbeat_thread.ts", import.meta.url).href;
}
