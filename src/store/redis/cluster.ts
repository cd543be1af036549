/**
 * A Redis Cluster: each operation goes to the primary that has its key, over one connection a primary, made when it is first needed.
 *
 * Invariant: an operation is sent again only where a server said that it has not done it (MOVED, ASK, TRYAGAIN). One whose server died is
 * lost or done, and only its caller can know whether it may be repeated: the driver's own Cluster repeats it, fails a whole batch of
 * which one key has moved, and knows no connection for what belongs to one (WAIT, CLIENT UNBLOCK). Deadlines are connection.ts'.
 */
import type { Redis } from "ioredis";

import { withDeadline } from "../../std/deadline.ts";
import { ScaleError } from "../../std/errors.ts";
import type { ClusterMap } from "./cluster_map.ts";
import {
  type ConnectionState,
  noAnswer,
  type Operation,
  type RedisAccess,
  RedisConnection,
  type RedisOptions,
  replyIn,
} from "./connection.ts";
import { hostIn, type Redirect, redirectIn, slotOf } from "./slots.ts";

/** Servers that send one on to each other disagree about who has the slot. */
const redirectsMax = 8;
/** A slot whose keys are half here and half there is whole again soon. */
const tryAgainMs = 25;
/** What was sent to a primary before it was replaced is answered within this time, or not at all. */
const retireMs = 2_000;

export class RedisCluster implements RedisAccess {
  readonly #map: ClusterMap;
  readonly #options: RedisOptions;
  readonly #connections = new Map<string, RedisConnection>();
  readonly #retired = new Set<RedisConnection>();
  readonly #endListening: () => void;
  #closed = false;

  constructor(map: ClusterMap, options: RedisOptions) {
    this.#map = map;
    this.#options = options;
    this.#endListening = map.onAnswer(() => this.#retireReplaced());
    map.ask().catch(() => this.#follow());
  }

  /** Ready when every primary that is spoken to is. */
  get state(): ConnectionState {
    if (this.#closed) return "closed";
    if (this.#map.primaries.length === 0) return "connecting";
    const states = new Set(Array.from(this.#connections.values(), (connection) => connection.state));
    return states.has("down") ? "down" : states.has("connecting") ? "connecting" : "ready";
  }

  get place(): string {
    return this.#map.place;
  }

  async run<T>(
    what: string,
    key: string,
    operation: Operation<T>,
    timeoutMs = this.#options.operationTimeoutMs,
  ): Promise<T> {
    const slot = slotOf(key);
    const deadline = performance.now() + timeoutMs;
    let asked: RedisConnection | undefined;
    for (let redirects = 0; ;) {
      const leftMs = deadline - performance.now();
      // Not awaited where it is known: what is run is on its way when this returns.
      const connection = asked ?? this.#ownerOf(slot) ?? (await this.#firstOwnerOf(slot, what, leftMs));
      try {
        return await connection.run(what, key, asked === undefined ? operation : asking(operation), leftMs);
      } catch (error) {
        const redirect = redirectOf(error, connection);
        if (redirect?.kind !== "tryagain") redirects++;
        if (redirect === undefined || redirects > redirectsMax || performance.now() >= deadline) throw error;
        asked = await this.#followTo(redirect);
      }
    }
  }

  /** A GET each: the keys of a server lie in many slots, and of one command in one. */
  read(key: string, budgetMs?: number): Promise<string | null> {
    const what = "read a value";
    const value = this.run(what, key, (client) => client.get(key));
    return budgetMs === undefined ? value : withDeadline(value, budgetMs, () => unavailable(what, noAnswer(budgetMs)));
  }

  each<T>(what: string, keys: readonly string[], operation: (client: Redis, key: string) => Promise<T>): Promise<T[]> {
    return Promise.all(keys.map((key) => this.run(what, key, (client) => operation(client, key))));
  }

  async everywhere<T>(what: string, operation: Operation<T>): Promise<T[]> {
    if (this.#map.primaries.length === 0) await this.#firstOwnerOf(0, what, this.#options.operationTimeoutMs);
    return Promise.all(this.#map.primaries.map((address) => this.#to(address).run(what, "", operation)));
  }

  at(key: string): RedisConnection | undefined {
    return this.#ownerOf(slotOf(key));
  }

  close(): void {
    this.#closed = true;
    this.#endListening();
    for (const connection of [...this.#connections.values(), ...this.#retired]) connection.close();
  }

  #ownerOf(slot: number): RedisConnection | undefined {
    const address = this.#map.ownerOf(slot);
    return address === undefined ? undefined : this.#to(address);
  }

  /** Before the Cluster has told where anything is. */
  async #firstOwnerOf(slot: number, what: string, timeoutMs: number): Promise<RedisConnection> {
    if (this.#closed) throw unavailable(what, "the connection is closed");
    await withDeadline(this.#map.ask(), timeoutMs, () => unavailable(what, noAnswer(timeoutMs)));
    const owner = this.#ownerOf(slot);
    if (owner === undefined) throw unavailable(what, `no server has slot ${slot}`);
    return owner;
  }

  #to(address: string): RedisConnection {
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    const connection: RedisConnection = new RedisConnection(this.#map.urlOf(address), {
      ...this.#options,
      onState: (from, to, reason) => {
        if ((to === "connecting" || to === "down") && this.#connections.get(address) === connection) this.#follow();
        this.#options.onState?.(from, to, `${address}: ${reason}`);
      },
    });
    // What waited for the first answer may come after close().
    if (this.#closed) connection.close();
    this.#connections.set(address, connection);
    return connection;
  }

  async #followTo(redirect: Redirect): Promise<RedisConnection | undefined> {
    if (redirect.kind === "ask") return this.#to(redirect.address);
    if (redirect.kind === "moved") this.#map.moved(redirect.slot, redirect.address);
    else await Bun.sleep(tryAgainMs);
    return undefined;
  }

  #follow(): void {
    this.#map.follow(this);
  }

  #retireReplaced(): void {
    const primaries = new Set(this.#map.primaries);
    for (const [address, connection] of this.#connections) {
      if (primaries.has(address)) continue;
      this.#connections.delete(address);
      this.#retired.add(connection);
      setTimeout(() => {
        connection.close();
        this.#retired.delete(connection);
      }, retireMs).unref();
    }
  }
}

/** The next command alone may find the slot where it is still arriving. */
function asking<T>(operation: Operation<T>): Operation<T> {
  return (client, connection) => {
    client.asking().catch(() => undefined);
    return operation(client, connection);
  };
}

function redirectOf(error: unknown, { place }: RedisConnection): Redirect | undefined {
  const reply = replyIn(error);
  return reply === undefined ? undefined : redirectIn(reply, hostIn(place));
}

function unavailable(what: string, reason: string): ScaleError {
  return new ScaleError("store_unavailable", `the Redis Cluster could not ${what}: ${reason}`, {
    hint: "check that its servers are up and reachable (CLUSTER INFO, CLUSTER SHARDS)",
  });
}
