/**
 * One connection to a Redis: its state and the limit on every operation. How its client is made from a URL is client.ts, which of a Cluster's
 * connections an operation goes to cluster.ts.
 *
 *      connecting ──ready──▶ ready ──close──▶ connecting ──second refusal, deadline──▶ down ──ready──▶ ready     any ──close()──▶ closed
 *
 * Invariant: a command settles. It waits through one reconnect, is refused at once while the server is known to be down, and is given
 * up at its deadline. So no more wait for a server that is away, or loads its data for minutes, than came in one deadline. What commands mean is not here: that is kv/redis.ts and queue/redis.ts.
 */
import { type Redis, ReplyError } from "ioredis";

import { withDeadline } from "../../std/deadline.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { redactUrls } from "../../std/redact.ts";
import { isSentinelUrl } from "../../std/redis_url.ts";
import { connectTimeoutMs, makeClient, placeOf, serverOf } from "./client.ts";
import { hintFor } from "./hints.ts";
import { Reads } from "./reads.ts";
import { completeTracingChannels } from "./tracing.ts";

export type ConnectionState = "connecting" | "ready" | "down" | "closed";

/** What is done with a client; the connection is the one that client belongs to. */
export type Operation<T> = (client: Redis, connection: RedisConnection) => Promise<T>;

/** The way to Redis, be it one server or a Cluster of them. */
export interface RedisAccess {
  readonly state: ConnectionState;
  /** Which servers it is, for messages and to compare; never a password. */
  readonly place: string;
  /** Runs one operation where the key is; every failure is a ScaleError that says where and what. `what` is the operation's name. */
  run<T>(what: string, key: string, operation: Operation<T>, timeoutMs?: number): Promise<T>;
  /** The value of a key, or null. With `budgetMs` it fails after those; whether the server is down is not judged by them. */
  read(key: string, budgetMs?: number): Promise<string | null>;
  /** run() for each of several keys, wherever they are; the answers in their order. Not one step. */
  each<T>(what: string, keys: readonly string[], operation: (client: Redis, key: string) => Promise<T>): Promise<T[]>;
  /** The same on every server that keys may be on. */
  everywhere<T>(what: string, operation: Operation<T>): Promise<T[]>;
  /** Where operations on this key go now, if that is known. */
  at(key: string): RedisConnection | undefined;
  /** Idempotent. Commands still waiting are rejected. */
  close(): void;
}

export interface RedisOptions {
  /** Name in CLIENT LIST. */
  readonly name: string;
  /** "resend" repeats commands whose reply was lost; only for operations that may run twice. */
  readonly onLostReply: "resend" | "fail";
  /** Longest wait for one operation. */
  readonly operationTimeoutMs: number;
  /** Each command is written at once, on its own: for blocking ones, and where it must be out before something else happens. */
  readonly unpipelined?: boolean;
  /** It subscribes to channels, anew after each connect; in RESP2, because the driver drops pushes of RESP3. */
  readonly isListener?: boolean;
  /** Called with the driver's client each time it is connected. */
  readonly onReady?: (client: Redis, connection: RedisConnection) => void;
  readonly onState?: ((from: ConnectionState, to: ConnectionState, reason: string) => void) | undefined;
}

const lostReason = "the connection was lost before it answered";
/** A consumer that sleeps on after Redis came back is an outage of its own: never wait longer than this. */
const reconnectDelayMsMax = 500;
/** A client that has not come back for so long is given up and made anew: its server may be back for long, and it not know. */
const rebuildAfterMs = 5_000;
const watchIntervalMs = 1_000;
/** A socket on which nothing answers for this long is dead, whatever TCP believes. */
const silentSocketMs = 5_000;

completeTracingChannels();

export class RedisConnection implements RedisAccess {
  readonly #url: string;
  readonly #options: RedisOptions;
  readonly #watch: ReturnType<typeof setInterval>;
  readonly #reads = new Reads(
    (keys) => this.run("read values", "", (client) => client.mget([...keys])),
    (budgetMs) => this.#unavailable("read values", noAnswer(budgetMs)),
  );
  #client: Redis;
  #awayAt = performance.now();
  readonly #place: string;
  /** Whom the Sentinels named, once connected. */
  #server = "";
  #state: ConnectionState = "connecting";
  #lastError = "";
  #connects = 0;

  constructor(url: string, options: RedisOptions) {
    this.#url = url;
    this.#options = options;
    this.#place = placeOf(url);
    this.#client = this.#connect();
    this.#watch = setInterval(() => this.#rebuildIfLost(), watchIntervalMs);
    this.#watch.unref();
  }

  #connect(): Redis {
    const options = this.#options;
    const client = makeClient(this.#url, {
      connectionName: options.name,
      connectTimeout: connectTimeoutMs,
      socketTimeout: silentSocketMs,
      maxLoadingRetryTime: reconnectDelayMsMax,
      sentinelRetryStrategy: (times) => this.#reconnectDelayMs(times),
      sentinelReconnectStrategy: () => reconnectDelayMsMax,
      enableAutoPipelining: options.unpipelined !== true,
      // What reads.ts has gathered has waited for its turn already.
      autoPipeliningIgnoredCommands: ["mget"],
      maxRetriesPerRequest: 1,
      autoResendUnfulfilledCommands: options.onLostReply === "resend",
      ...(options.isListener === true ? { protocol: 2, autoResubscribe: false } : {}),
      // After a failover the old primary answers as a replica: go and find the new one.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
      retryStrategy: (times) => this.#reconnectDelayMs(times),
    });
    client.on("ready", () => {
      this.#connects++;
      if (isSentinelUrl(this.#url)) this.#server = serverOf(client);
      this.#become("ready", "connected");
      options.onReady?.(client, this);
    });
    client.on("close", () => {
      if (options.onLostReply === "fail") failUnanswered(client);
      if (this.#state === "ready") this.#become("connecting", "connection lost");
    });
    client.on("error", (error: Error) => (this.#lastError = messageOf(error)));
    // The driver gives up for good when a Sentinel tells of a failover while it is connecting.
    client.on("end", () => setTimeout(() => this.#client === client && this.#rebuild(), this.#reconnectDelayMs(1)));
    return client;
  }

  /** The driver's client, for what is not run(). Another one after an outage. */
  get client(): Redis {
    return this.#client;
  }

  #rebuildIfLost(): void {
    if (this.#state === "ready" || this.#state === "closed") return;
    if (performance.now() - this.#awayAt >= rebuildAfterMs) this.#rebuild();
  }

  #rebuild(): void {
    if (this.#state === "closed") return;
    this.#awayAt = performance.now();
    const lost = this.#client;
    this.#client = this.#connect();
    lost.removeAllListeners();
    lost.on("error", () => undefined);
    lost.disconnect();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Behind Sentinels the server they named last, too. */
  get place(): string {
    return this.#server === "" ? this.#place : `${this.#server}, ${this.#place}`;
  }

  /** Connections made so far: a server that was restarted between two of them knows no scripts. */
  get connects(): number {
    return this.#connects;
  }

  async run<T>(what: string, _key: string, operation: Operation<T>, timeoutMs?: number): Promise<T> {
    const refusal = this.#refusal(what);
    if (refusal !== undefined) throw refusal;
    const limitMs = timeoutMs ?? this.#options.operationTimeoutMs;
    try {
      return await withDeadline(operation(this.#client, this), limitMs, () => this.#late(what, limitMs));
    } catch (error) {
      if (error instanceof ScaleError) throw error;
      throw this.#unavailable(what, reasonOf(error), error);
    }
  }

  read(key: string, budgetMs?: number): Promise<string | null> {
    const refusal = this.#refusal("read a value");
    return refusal === undefined ? this.#reads.read(key, budgetMs) : Promise.reject(refusal);
  }

  each<T>(what: string, keys: readonly string[], operation: (client: Redis, key: string) => Promise<T>): Promise<T[]> {
    return this.run(what, "", (client) => Promise.all(keys.map((key) => operation(client, key))));
  }

  everywhere<T>(what: string, operation: Operation<T>): Promise<T[]> {
    return this.run(what, "", async (client, connection) => [await operation(client, connection)]);
  }

  at(): this {
    return this;
  }

  #late(what: string, limitMs: number): ScaleError {
    const reason = noAnswer(limitMs);
    if (this.#state === "connecting") this.#become("down", this.#lastError || reason);
    return this.#unavailable(what, reason);
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#become("closed", "closed by us");
    clearInterval(this.#watch);
    this.#client.disconnect();
  }

  #reconnectDelayMs(times: number): number {
    if (times >= 2 && this.#state === "connecting") this.#become("down", this.#lastError || "no answer");
    const delayMs = Math.min(reconnectDelayMsMax, 25 * 2 ** Math.min(times, 10));
    return Math.round(delayMs / 2 + (Math.random() * delayMs) / 2);
  }

  #become(to: ConnectionState, reason: string): void {
    const from = this.#state;
    if (from === to || from === "closed") return;
    if (from === "ready") this.#awayAt = performance.now();
    this.#state = to;
    this.#options.onState?.(from, to, redactUrls(reason));
  }

  /** While it is known that nobody would answer. */
  #refusal(what: string): ScaleError | undefined {
    if (this.#state !== "down" && this.#state !== "closed") return undefined;
    return this.#unavailable(what, `the connection is ${this.#state}`);
  }

  #unavailable(what: string, reason: string, cause?: unknown): ScaleError {
    const detail = this.#state === "down" && this.#lastError !== "" ? `${reason}: ${this.#lastError}` : reason;
    return new ScaleError("store_unavailable", `Redis at ${this.place} could not ${what}: ${redactUrls(detail)}`, {
      cause,
      hint: hintFor(detail),
    });
  }
}

/** Whether a failure was Redis answering with this error code (NOGROUP, NOSCRIPT, …), as opposed to not answering. */
export function isReply(error: unknown, code: string): boolean {
  return replyIn(error)?.includes(code) === true;
}

/** The text of an error with which Redis answered; undefined where it did not answer. */
export function replyIn(error: unknown): string | undefined {
  const reply = error instanceof ScaleError ? error.cause : error;
  return reply instanceof ReplyError ? messageOf(reply) : undefined;
}

/**
 * What was sent and not answered will not be. The driver only forgets it when it reconnects at once, and waits for ever for the batch
 * that it was part of, with everything after it.
 */
function failUnanswered(client: Redis): void {
  const driver = client as unknown as {
    flushQueue(error: Error, which: { readonly offlineQueue: boolean }): void;
  };
  driver.flushQueue(new Error(lostReason), { offlineQueue: false });
}

/** Why an operation failed that has waited for so long. */
export function noAnswer(waitedMs: number): string {
  return `no answer within ${Math.ceil(waitedMs)}ms`;
}

/** Of a command that it gave up with its connection the driver says which option of its own that is by: no help to an operator. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.name === "MaxRetriesPerRequestError" ? lostReason : messageOf(error);
}
