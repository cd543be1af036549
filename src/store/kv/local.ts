/**
 * Values of a Redis kept in this process, and kept right by Redis itself: a connection reads with CLIENT TRACKING, and another, which
 * listens, hears of every key it has read as soon as that changes. Both must reach the same server and live; a probe a second proves it.
 *
 *     off ──both connected, listening, a probe heard──▶ on ──a connection lost, a probe not heard──▶ off, and everything forgotten
 *
 * Invariants: nothing is served while off; what was read before a change was heard of is never kept after it. So a process that is told
 * serves no old value, and one that cannot be told stops within two probes. What a value means, and how old it may be, is the cache's.
 */
import type { Redis } from "ioredis";

import { log } from "../../ops/log.ts";
import { withDeadline } from "../../std/deadline.ts";
import { messageOf } from "../../std/errors.ts";
import { Lru } from "../../std/lru.ts";
import { RedisConnection } from "../redis/connection.ts";

export interface LocalOptions {
  /** Starts the connections' names. */
  readonly name: string;
  /** The name in Redis of a key. */
  readonly nameOf: (key: string) => string;
  readonly operationTimeoutMs: number;
  readonly bytesMax: number;
}

interface Kept {
  readonly value: string;
  readonly readAt: number;
}

const channel = "__redis__:invalidate";
/** What a user with rights of its own (ACL) needs for this, besides reading. */
export const trackingRights = `+client|id +client|tracking +subscribe '&${channel}'`;
const probeIntervalMs = 1_000;
const probeTimeoutMs = 1_000;
/** What an entry takes beside its texts, about. */
const entryBytes = 200;

export class Local {
  readonly #options: LocalOptions;
  readonly #reader: RedisConnection;
  readonly #listener: RedisConnection;
  readonly #kept: Lru<Kept>;
  /** Name → the latest read of it that is under way; gone when the name was heard of meanwhile. */
  readonly #underWay = new Map<string, object>();
  readonly #probeName: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #state: "off" | "on" = "off";
  /** Of the listener's connection; undefined while it does not listen. */
  #listenerId: number | undefined;
  /** Counts what ends the worth of everything read before. */
  #generation = 0;
  #heardProbe: (() => void) | undefined;
  #isJoining = false;
  #isSubscribing = false;
  #hasWarned = false;

  constructor(url: string, options: LocalOptions) {
    this.#options = options;
    this.#kept = new Lru(options.bytesMax);
    this.#probeName = options.nameOf(`local-probe:${crypto.randomUUID()}`);
    const common = { onLostReply: "fail", operationTimeoutMs: options.operationTimeoutMs } as const;
    this.#reader = new RedisConnection(url, {
      ...common,
      name: `${options.name}-local`,
      onReady: () => void this.#join(),
      onState: () => this.#turnOff(),
    });
    this.#listener = new RedisConnection(url, {
      ...common,
      name: `${options.name}-invalidations`,
      isListener: true,
      onReady: (client) => void this.#listen(client),
      onState: () => {
        this.#listenerId = undefined;
        this.#turnOff();
      },
    });
    this.#timer = setInterval(() => void this.#tick(), probeIntervalMs);
    this.#timer.unref();
  }

  /** What was read of a key no longer ago than `ageMs`; undefined: ask for it. */
  peek(key: string, ageMs: number): string | undefined {
    if (this.#state === "off") return undefined;
    const kept = this.#kept.get(this.#options.nameOf(key));
    return kept !== undefined && performance.now() - kept.readAt <= ageMs ? kept.value : undefined;
  }

  /** Reads, and keeps what there is; undefined while off. */
  async read(keys: readonly string[]): Promise<readonly (string | null)[] | undefined> {
    if (this.#state === "off") return undefined;
    const names = keys.map(this.#options.nameOf);
    const [mine, readAt, generation] = [{}, performance.now(), this.#generation];
    for (const name of names) this.#underWay.set(name, mine);
    try {
      const values = await this.#reader.each("read values to keep", names, (client, name) => client.get(name));
      if (generation === this.#generation) this.#keep(names, values, readAt, mine);
      return values;
    } finally {
      for (const name of names) if (this.#underWay.get(name) === mine) this.#underWay.delete(name);
    }
  }

  /** This process itself has changed these keys. */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.#forgetName(this.#options.nameOf(key));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#turnOff();
    this.#reader.close();
    this.#listener.close();
  }

  #keep(names: readonly string[], values: readonly (string | null)[], readAt: number, mine: object): void {
    for (const [index, name] of names.entries()) {
      const value = values[index]!;
      if (value === null || this.#underWay.get(name) !== mine) continue;
      this.#kept.set(name, { value, readAt }, 2 * (name.length + value.length) + entryBytes);
    }
  }

  #forgetName(name: string): void {
    this.#underWay.delete(name);
    this.#kept.delete(name);
  }

  async #listen(client: Redis): Promise<void> {
    this.#isSubscribing = true;
    try {
      client.removeAllListeners("messageBuffer");
      client.on("messageBuffer", (_: Buffer, names: unknown) => this.#hear(names as readonly Buffer[] | null));
      const id = await client.client("ID");
      await client.subscribe(channel);
      this.#listenerId = id;
    } catch (error) {
      return this.#warn(error);
    } finally {
      this.#isSubscribing = false;
    }
    await this.#join();
  }

  /** null: everything may have changed. */
  #hear(names: readonly Buffer[] | null): void {
    if (names === null) return this.#forgetAll();
    for (const bytes of names) {
      const name = bytes.toString();
      if (name === this.#probeName) this.#heardProbe?.();
      this.#forgetName(name);
    }
  }

  async #tick(): Promise<void> {
    if (this.#state === "off") return this.#comeBack();
    const generation = this.#generation;
    if (!(await this.#probe()) && generation === this.#generation) this.#turnOff();
  }

  /** Also where the right to listen was given meanwhile. */
  #comeBack(): Promise<void> | undefined {
    const isRefused = this.#listenerId === undefined && this.#listener.state === "ready" && !this.#isSubscribing;
    return isRefused ? this.#listen(this.#listener.client) : this.#join();
  }

  /** Points the reader's invalidations at the listener, wherever these two have just connected to. */
  async #join(): Promise<void> {
    const id = this.#listenerId;
    if (id === undefined || this.#reader.state !== "ready" || this.#isJoining) return;
    this.#isJoining = true;
    const generation = this.#generation;
    try {
      await this.#reader.run("track reads", "", (client) => client.client("TRACKING", "ON", "REDIRECT", id));
      const isProven = await this.#probe();
      if (isProven && generation === this.#generation) this.#turnOn();
    } catch (error) {
      this.#warn(error);
    } finally {
      this.#isJoining = false;
    }
  }

  /** Reads a key and changes it: whether the listener hears of that. */
  async #probe(): Promise<boolean> {
    const heard = new Promise<void>((resolve) => (this.#heardProbe = resolve));
    const asked = this.#reader.run("probe", "", async (client) => {
      await client.get(this.#probeName);
      await client.set(this.#probeName, "1", "PX", 2 * probeIntervalMs);
    });
    try {
      await withDeadline(Promise.all([asked, heard]), probeTimeoutMs, () => new Error("the probe was not heard"));
      return true;
    } catch {
      return false;
    }
  }

  #turnOn(): void {
    this.#state = "on";
    if (this.#hasWarned) log.info({}, "the cache keeps values in this process again");
    this.#hasWarned = false;
  }

  #turnOff(): void {
    this.#state = "off";
    this.#forgetAll();
  }

  #forgetAll(): void {
    this.#generation++;
    this.#underWay.clear();
    this.#kept.clear();
  }

  /** Once: a Redis that does not allow it does so at each attempt. */
  #warn(error: unknown): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const said = messageOf(error);
    const fix = said.includes("NOPERM") ? `. Fix: ACL SETUSER USER ${trackingRights}` : "";
    log.warn({}, `the cache keeps nothing in this process: ${said}${fix}`);
  }
}
