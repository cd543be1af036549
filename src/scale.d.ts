/**
 * The module "scale": what an application may import. This is the contract that src/index.ts implements, role app and role worker serve,
 * `scale init` writes next to an entry, and demo/social is written on. Versions add to it; nothing in it changes meaning.
 * Durations are strings ("250ms", "10s", "5m", "1h", "30d") or milliseconds. Everything is usable in handlers and in jobs unless said.
 */
declare module "scale" {
  type Duration = string | number;
  type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };
  type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

  /** "/users/:id/posts/:n" → { id: string; n: string }. */
  type Params<P extends string> = P extends `${string}:${infer N}/${infer Rest}`
    ? { readonly [K in N]: string } & Params<`/${Rest}`>
    : P extends `${string}:${infer N}`
      ? { readonly [K in N]: string }
      : {};
  interface RouteRequest<P extends string> extends Request {
    readonly params: Params<P>;
  }
  /** What is neither a Response nor undefined (upgraded) is sent as JSON; JsonText is sent as it is. */
  type Handler<P extends string> = (req: RouteRequest<P>) => unknown;
  /** `import page from "./page.html"`: bundled, its scripts, styles and pictures served beside it under hashed names. */
  interface HtmlImport {
    readonly index: string;
  }
  type Route<P extends string> =
    Handler<P> | Response | HtmlImport | { readonly [M in Method]?: Handler<P> | Response };

  interface Definition<R extends string> {
    /** Bun.serve's patterns. A path without the asked method answers 405 with Allow, before `fetch` is tried. */
    routes?: { readonly [P in R]: Route<P> };
    /** Everything else; also the whole application of a Hono, Elysia or bare handler. */
    fetch?: (req: Request) => Response | Promise<Response>;
    error?: (error: unknown) => Response | Promise<Response>;
    jobs?: readonly Job<never>[];
    schedules?: readonly Schedule[];
    /** Directory of ordered .sql files, relative to the entry. */
    migrations?: string;
    onStart?: () => void | Promise<void>;
    onStop?: () => void | Promise<void>;
  }
  type App = Definition<string>;
  /** Types the routes' parameters; a plain object with the same keys is accepted as a default export too. */
  export function app<R extends string>(definition: Definition<R>): Definition<R>;

  /** The request being served (not in jobs). Ambient: nothing is passed through. */
  export function request(): {
    readonly id: string;
    readonly ip: string;
    readonly secure: boolean;
    readonly url: URL;
    /** Aborted when the client leaves or --request-timeout passes. Statements that are waited for then fail, and are cancelled if they are alone. */
    readonly signal: AbortSignal;
  };
  /** Structured log line, bound to the request or job being served; secrets redacted. */
  export const log: {
    [L in "debug" | "info" | "warn" | "error"]: (fields: { [key: string]: unknown }, message?: string) => void;
  };
  /** Thrown anywhere below a handler it becomes that response: { error: { code, message, …details } }. */
  export class HttpError extends Error {
    constructor(
      status: number,
      message: string,
      details?: { code?: string; headers?: HeadersInit; [key: string]: unknown },
    );
  }
  /** Token bucket shared by the fleet; throws HttpError 429 with Retry-After. */
  export function limit(key: string, rule: { max: number; per: Duration }): Promise<void>;

  type Parameter = string | number | bigint | boolean | Date | Uint8Array | null | readonly Parameter[];
  type Query = <Row extends object = { [column: string]: unknown }>(
    text: TemplateStringsArray,
    ...values: readonly (Parameter | Fragment)[]
  ) => Promise<Row[]>;
  /** JSON text built by Postgres; returned from a handler it is the body, in a cache it is the value. */
  interface JsonText {
    readonly json: string;
  }
  interface Fragment {
    readonly sql: unique symbol;
  }
  interface Tx {
    /** On a replica where there is one that shows everything this client wrote and saw, else on the primary; in a transaction, in it. */
    readonly read: Query;
    /** On the primary. */
    readonly write: Query;
    /** The rows as one JSON array, built by Postgres, read where `read` reads. Cast 64-bit integers in it to text. */
    json(text: TemplateStringsArray, ...values: readonly (Parameter | Fragment)[]): Promise<JsonText>;
  }
  export const sql: Tx & {
    /** A piece of a statement: identifiers with sql.name, lists with sql.list. */
    fragment(text: TemplateStringsArray, ...values: readonly (Parameter | Fragment)[]): Fragment;
    name(identifier: string): Fragment;
    list(values: readonly Parameter[]): Fragment;
    /** Runs on the primary. Serialization failures and deadlocks run it again (3 attempts), so it must have no other effects: enqueue and invalidate take { tx }. */
    tx<T>(
      body: (tx: Tx) => Promise<T>,
      options?: {
        isolation?: "read committed" | "repeatable read" | "serializable";
        attempts?: number;
        /** A second run does no harm: then a COMMIT that was never answered is tried again in place of the error `outcome_unknown`. */
        idempotent?: boolean;
      },
    ): Promise<T>;
  };

  interface CacheOptions {
    /** How long a value is fresh, ±5 %, so that what was stored together does not end together. */
    ttl: Duration;
    /** After that, how long it is served while one caller loads it anew behind the answer. */
    stale?: Duration;
    /** After the ttl, how long it is served where loading fails. */
    staleIfError?: Duration;
    /** The ttl of a load that returned null. */
    negativeTtl?: Duration;
    tags?: readonly string[];
    /** How long to wait for a load that somebody else has begun. Default 5 s. */
    timeout?: Duration;
    /**
     * How long this process may answer with what it has read, without asking Redis, which tells it of changes: at most 1 min. After
     * invalidate() another process may serve the old value until it is told, usually within milliseconds, and never for longer than this.
     */
    local?: Duration;
  }
  export const cache: {
    /**
     * Returns the decoded stored form on a miss as on a hit; what JSON cannot carry is an error that names the path. One load however
     * many ask, in the whole fleet; what it reads shows everything committed before it began.
     */
    get<T>(key: string, options: CacheOptions, load: () => Promise<T> | T): Promise<T>;
    set(key: string, value: unknown, options: { ttl: Duration; tags?: readonly string[] }): Promise<void>;
    /**
     * What was read before it, by a load under way anywhere, is not stored after it.
     * With tx: after its commit, and not lost if the process dies between the two.
     */
    invalidate(what: { keys?: readonly string[]; tags?: readonly string[]; tx?: Tx }): Promise<void>;
  };

  /**
   * The caller's session, in routes and in fetch alike (not in jobs). Nothing is stored, and no cookie sent, until something is set.
   * With the store gone each of these fails, and the request is answered with 503: nobody is taken for signed out.
   */
  export const session: {
    get<T = unknown>(field: string): Promise<T | undefined>;
    set(field: string, value: Json): Promise<void>;
    delete(field: string): Promise<void>;
    /** The user signed in, or null. */
    user(): Promise<string | null>;
    /** Binds the user under a new id; the old id dies at once. */
    login(user: string): Promise<void>;
    /**
     * A new id for the session there is; the old id dies at once. For a change of what its user may do (a second factor given, a role
     * taken or lost); login() does it by itself.
     */
    renew(): Promise<void>;
    logout(): Promise<void>;
    /** Where the user signed in is signed in, last seen first. With `user`: where that user is, in jobs too. */
    devices(options?: { user?: string }): Promise<readonly Device[]>;
    /** Ends one of the sessions of the user signed in. False where that user has no session of this id. */
    logoutDevice(id: string): Promise<boolean>;
    /** Ends every session of the user signed in, or every one but this. With `user`: of that user, in jobs too. */
    logoutEverywhere(options?: { keepThis?: boolean } | { user: string }): Promise<void>;
    /**
     * A token to put into forms, for clients that send neither Sec-Fetch-Site nor Origin: requests of another site's page that send
     * either are refused without it. Begins a session where there is none.
     */
    csrf(): Promise<string>;
    /** Throws HttpError 403 unless csrf() gave this token to this session, since its last login or renew(). */
    checkCsrf(token: string | null | undefined): Promise<void>;
  };
  interface Device {
    /** Of the session; it opens nothing. */
    readonly id: string;
    /** It is this request's. */
    readonly isCurrent: boolean;
    readonly begun: Date;
    /** To the minute, as are the two below. */
    readonly seen: Date;
    readonly ip: string;
    readonly userAgent: string;
  }

  /** One run of a job's handler. */
  type Attempt = {
    /** The job's, the same in every attempt. */
    readonly id: string;
    /** From 1. */
    readonly attempt: number;
    /** Aborted when the time is up, the job is cancelled, the worker stops, or another worker has taken the job over. */
    readonly signal: AbortSignal;
    /** Its lines carry the job's name and id, the attempt and the trace. */
    readonly log: typeof log;
    /**
     * Says how far it is, for whoever asks by Job.status: anything that is JSON of at most 4 KiB. Of what is said within half a second
     * the last counts; it is forgotten when the attempt is over.
     */
    readonly progress: (value: Json) => void;
    /** traceparent (W3C) of the request or job that enqueued it, of a trace of its own where there was none: send it along. */
    readonly trace: string;
  };
  /** Thrown by a handler. The job goes to the dead letters at once, with this reason. */
  export class Discard extends Error {
    constructor(reason: string);
  }
  /** Thrown by a handler. The attempt has failed, and the next begins after this long. */
  export class RetryAfter extends Error {
    constructor(delay: Duration, reason?: string);
  }
  /** Thrown by a handler. The job is put back for this long, and the attempt does not count. */
  export class Snooze extends Error {
    constructor(delay: Duration, reason?: string);
  }
  /** What zod, valibot, arktype and others make: https://standardschema.dev, version 1. */
  interface StandardSchema<Input = unknown, Output = unknown> {
    readonly "~standard": {
      readonly version: 1;
      readonly vendor: string;
      readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
      readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    };
  }
  type StandardResult<Output> =
    | { readonly value: Output; readonly issues?: undefined }
    | {
        readonly issues: readonly {
          readonly message: string;
          readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
        }[];
      };
  /** Of ten jobs of a queue that workers take while there are some of each, six are high, three normal, one is low: none starves. */
  type Priority = "high" | "normal" | "low";
  /**
   * A key that one job at a time has: enqueueing another answers with the id of the first, as long as that has no outcome; with `per` also
   * for so long from when it was enqueued, whatever became of it.
   */
  type Unique = string | { key: string; per: Duration };
  /** At most `max` attempts begin in any time of `per`. */
  interface Rate {
    max: number;
    per: Duration;
  }
  /**
   * key, in the options of enqueue: jobs of this kind with the same key run one at a time and in their order, which retries and snoozes do
   * not change: what comes behind waits until the one before has its outcome. With `concurrency.perKey`: so many at a time, in any order.
   */
  interface Job<P> {
    readonly name: string;
    /** Answers when the queue has it (or, with tx, when the transaction will commit it). */
    enqueue(
      payload: P,
      options?: { delay?: Duration; at?: Date; unique?: Unique; priority?: Priority; key?: string; tx?: Tx },
    ): Promise<{ readonly id: string }>;
    enqueueMany(
      payloads: readonly P[],
      options?: { delay?: Duration; priority?: Priority; key?: string | ((payload: P) => string); tx?: Tx },
    ): Promise<readonly { readonly id: string }[]>;
    /** What became of it. Null where no job of this name has the id, or not any more. */
    status(id: string): Promise<JobStatus | null>;
    /**
     * "cancelled": it will not run. "cancelling": it runs, and its signal is aborted within a second; it is cancelled when its handler
     * then throws, and has completed when it returns. "ended": too late.
     */
    cancel(id: string): Promise<"cancelled" | "cancelling" | "ended" | "unknown">;
  }
  interface JobStatus {
    readonly id: string;
    /** "retryable": it failed, and waits for its next attempt. "discarded": it is a dead letter. */
    readonly state: "scheduled" | "available" | "running" | "retryable" | "completed" | "cancelled" | "discarded";
    /** Attempts so far, one that runs included. */
    readonly attempts: number;
    /** What the running attempt said last by progress(). */
    readonly progress?: unknown;
    /** What the handler returned, where that was JSON of at most 16 KiB. */
    readonly result?: unknown;
    /** Why its last attempt did not complete. */
    readonly reason?: string;
  }
  interface JobOptions {
    queue?: string;
    attempts?: number;
    timeout?: Duration;
    backoff?: { base: Duration; max: Duration };
    /** Of its jobs, where enqueue does not say otherwise; default "normal". */
    priority?: Priority;
    /** So many of its jobs run at a time, over the whole fleet; perKey: of those with the same key. */
    concurrency?: number | { perJob?: number; perKey?: number };
    /** How often its jobs begin, over the whole fleet; perKey: those with the same key. Who waits for it takes no worker's slot. */
    rateLimit?: Rate | { perJob?: Rate; perKey?: Rate };
    /** What enqueue does while the queue's store is away: fail (the default), or leave the job in the database's outbox. */
    fallback?: "outbox";
    /** How long its outcome can be asked for once it completed; default --job-completed-age, "0": not at all. */
    retention?: Duration;
  }
  /** With a schema, payloads are checked by it when they are enqueued and again before the handler gets what it makes of them. */
  export function job<Input extends Json, Output>(
    name: string,
    handler: (payload: Output, attempt: Attempt) => unknown,
    options: JobOptions & { schema: StandardSchema<Input, Output> },
  ): Job<Input>;
  export function job<P extends Json>(
    name: string,
    handler: (payload: P, attempt: Attempt) => unknown,
    options?: JobOptions,
  ): Job<P>;

  interface Schedule {
    readonly name: string;
  }
  /**
   * Enqueues `target` at every tick, once over the whole fleet. cron: minute hour day-of-month month day-of-week, in `timeZone` (an IANA
   * name; default UTC); a time that clocks jump over fires once right after, a time they show twice fires the first time; where the
   * hour is *, every hour that passes counts. every: multiples of it since the epoch. catchUp says what becomes of ticks that were
   * due while no worker ran: "skip" none, "one" (the default) the newest, "all" each, up to 1,000. Without a payload the job gets null,
   * so that only a job that takes null, or does not say what it takes, can do without.
   */
  export function schedule<P extends Json>(
    name: string,
    when: ({ cron: string; timeZone?: string } | { every: Duration }) & { catchUp?: "skip" | "one" | "all" },
    target: Job<P>,
    ...payload: null extends P ? [payload?: NoInfer<P>] : [payload: NoInfer<P>]
  ): Schedule;

  export const metrics: {
    counter(
      name: string,
      help: string,
      labels?: readonly string[],
    ): { inc(labels?: { [label: string]: string }, by?: number): void };
    histogram(
      name: string,
      help: string,
      options?: { labels?: readonly string[]; buckets?: readonly number[] },
    ): {
      observe(seconds: number, labels?: { [label: string]: string }): void;
      time<T>(body: () => Promise<T> | T, labels?: { [label: string]: string }): Promise<T>;
    };
  };
}
