/**
 * The connections of one database URL, bounded twice: connections, and statements sent to one connection before it has answered.
 * What finds no place waits in one queue, first come first served, with a length and a deadline. Not here: what a connection does.
 *
 * Invariant: a connection is either shared by at most `pipelineMax` statements or lent whole to one transaction or session.
 */
import { isBouncer } from "../../std/bouncer_url.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { Abandonment } from "./abandoned.ts";
import { Connection, placeOf } from "./connection.ts";
import { isNotPrimary } from "./errors.ts";
import { Hosts } from "./hosts.ts";
import { SilenceWatch } from "./silence.ts";
import type { Owner, SqlOptions } from "./sql.ts";
import type { Operation, Timings } from "./timings.ts";

/** Statements in flight on one connection: a short one behind a long one waits for it, so few; through a PgBouncer only one. */
const pipelineMaxDefault = 4;
/** A waiter is a few hundred bytes, and goes at its deadline: the bound is for memory, not for patience. */
const waitingStatementsMax = 10_000;
const waitTimeoutMilliseconds = 5_000;
const closeTimeoutMilliseconds = 5_000;
/** How often it is looked for statements whose owner has left. */
const lookMilliseconds = 100;

/** How a connection is wanted: among others, or alone. */
type Use = "shared" | "lent";

/** A place in the pool. Its connection changes never; a lost one leaves with its slot. */
interface Slot {
  readonly url: string;
  readonly connection: Connection;
  statements: number;
  lent: boolean;
}

interface Waiter {
  readonly use: Use;
  readonly owner: Owner | undefined;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly resolve: (slot: Slot) => void;
  readonly reject: (error: ScaleError) => void;
}

/** Connections open, statements sent and not answered (a transaction is one), those that wait, and all there ever were. */
export interface PoolCounts {
  readonly connections: number;
  readonly running: number;
  readonly waiting: number;
  readonly begun: number;
}

export class Pool {
  readonly #url: string;
  readonly #hosts: Hosts;
  readonly #options: SqlOptions;
  readonly #pipelineMax: number;
  readonly #slots = new Set<Slot>();
  #waiting: Waiter[] = [];
  /** Those of sessions, which may set a statement_timeout of their own. */
  readonly #unhurried = new WeakSet<Connection>();
  #begun = 0;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  readonly #timings: Timings;
  readonly #silence: SilenceWatch | undefined;
  readonly #abandonment: Abandonment;
  readonly #looking: ReturnType<typeof setInterval>;

  /** `timings`: where this and other pools of the same server note how long things take. */
  constructor(url: string, options: SqlOptions, timings: Timings) {
    this.#timings = timings;
    this.#url = url;
    this.#hosts = new Hosts(url);
    this.#options = options;
    this.#pipelineMax = isBouncer(url) ? 1 : (options.pipelineMax ?? pipelineMaxDefault);
    const { statementTimeout } = options;
    if (statementTimeout > 0) this.#silence = new SilenceWatch(statementTimeout, () => this.#hurried());
    this.#abandonment = new Abandonment(this.#slots, timings.abandoned, () => this.#admitNext());
    this.#looking = setInterval(() => this.#look(), lookMilliseconds);
    this.#looking.unref();
  }

  /** Of the server that connections go to now. */
  get url(): string {
    return this.#hosts.url;
  }

  get counts(): PoolCounts {
    let running = 0;
    for (const slot of this.#slots) running += slot.lent ? 1 : slot.statements;
    return { connections: this.#slots.size, running, waiting: this.#waiting.length, begun: this.#begun };
  }

  /**
   * Runs one statement on a connection that others may be using. Timed as `operation`, if the application asked for it; it waits for a
   * connection until its `owner` leaves.
   */
  shared<T>(run: (connection: Connection) => Promise<T>, operation?: Operation, owner?: Owner): Promise<T> {
    return this.#onAnyHost("shared", run, operation, owner);
  }

  /** Runs `body` with a connection nobody else uses meanwhile. */
  lent<T>(body: (connection: Connection) => Promise<T>, operation?: Operation, owner?: Owner): Promise<T> {
    return this.#onAnyHost("lent", body, operation, owner);
  }

  /** Where the URL names several servers, what has not happened on one is tried on the next, once round. */
  async #onAnyHost<T>(
    use: Use,
    run: (connection: Connection) => Promise<T>,
    operation: Operation | undefined,
    owner: Owner | undefined,
  ): Promise<T> {
    for (let hosts = this.#hosts.urls.length; ; hosts--) {
      const slot = this.#take(use) ?? (await this.#wait(use, owner));
      const startedAt = performance.now();
      try {
        return await run(slot.connection);
      } catch (error) {
        if (hosts <= 1 || !(await this.#isElsewhere(slot, error, use))) throw error;
      } finally {
        if (use === "lent") slot.lent = false;
        else slot.statements--;
        if (operation !== undefined) this.#timings[operation].observe((performance.now() - startedAt) / 1_000);
        this.#admitNext();
      }
    }
  }

  /** A body that had begun is its owner's to begin again (transaction.ts); a statement that was refused is not. */
  async #isElsewhere({ url, connection }: Slot, error: unknown, use: Use): Promise<boolean> {
    if (!isNotPrimary(error)) return connection.lost && !connection.hasOpened;
    this.#hosts.leave(url);
    await connection.close(0);
    return use === "shared";
  }

  /** Like `lent`; the connection is closed afterwards, and its state with it. */
  session<T>(body: (connection: Connection) => Promise<T>): Promise<T> {
    return this.lent(async (connection) => {
      this.#unhurried.add(connection);
      try {
        return await body(connection);
      } finally {
        await connection.close(1);
      }
    });
  }

  /** Gives up every connection, and what was sent on it: the server does not answer. New statements get new connections. */
  drop(): void {
    for (const { connection } of this.#slots) void connection.close(0);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  *#hurried(): Iterable<Connection> {
    for (const { connection } of this.#slots) if (!this.#unhurried.has(connection)) yield connection;
  }

  async #close(): Promise<void> {
    for (const waiter of this.#waiting.splice(0)) {
      clearTimeout(waiter.timer);
      waiter.reject(closed());
    }
    const deadline = Promise.withResolvers<void>();
    const timer = setTimeout(deadline.resolve, closeTimeoutMilliseconds);
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#admitNext();
    await Promise.race([idle, deadline.promise]);
    clearTimeout(timer);
    clearInterval(this.#looking);
    this.#silence?.stop();
    await Promise.all([...this.#slots].map((slot) => slot.connection.close(0)));
  }

  /** An idle connection, else a new one, else the least used of those that may be shared. Undefined: it has to wait. */
  #take(use: Use): Slot | undefined {
    if (this.#closing) throw closed();
    return this.#waiting.length > 0 ? undefined : this.#place(use);
  }

  #place(use: Use): Slot | undefined {
    let best: Slot | undefined;
    for (const slot of this.#slots) {
      if (!slot.lent && (best === undefined || slot.statements < best.statements)) best = slot;
    }
    if (best === undefined || best.statements > 0) {
      if (this.#slots.size < this.#options.poolMax) best = this.#open();
      else if (use === "lent" || !best?.connection.ready || best.statements >= this.#pipelineMax) return undefined;
    }
    this.#begun++;
    if (use === "lent") best.lent = true;
    else best.statements++;
    return best;
  }

  #open(): Slot {
    const { url, urls } = this.#hosts;
    const slot: Slot = {
      url,
      connection: new Connection(url, { ...this.#options, mustBePrimary: urls.length > 1 }, (unasked) => {
        if (unasked) this.#hosts.leave(url);
        this.#slots.delete(slot);
        this.#admitNext();
      }),
      statements: 0,
      lent: false,
    };
    this.#slots.add(slot);
    return slot;
  }

  #wait(use: Use, owner: Owner | undefined): Promise<Slot> {
    if (this.#waiting.length >= waitingStatementsMax)
      throw this.#overloaded(`${waitingStatementsMax} statements wait already`);
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const milliseconds = this.#options.waitTimeout ?? waitTimeoutMilliseconds;
    const since = performance.now();
    const noteWait = () => this.#timings.wait.observe((performance.now() - since) / 1_000);
    const timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      reject(this.#overloaded(`none became free within ${milliseconds} ms`));
      this.#admitNext();
    }, milliseconds);
    const waiter: Waiter = { use, owner, timer, resolve, reject };
    this.#waiting.push(waiter);
    promise.then(noteWait, noteWait);
    return promise;
  }

  #look(): void {
    this.#abandonment.look();
    if (this.#waiting.some(({ owner }) => owner?.left !== undefined)) this.#dismiss();
  }

  /** Whoever has left leaves the queue. */
  #dismiss(): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ owner }) => owner?.left === undefined);
    for (const { owner, timer, reject } of waiting) {
      if (owner?.left === undefined) continue;
      clearTimeout(timer);
      reject(owner.left);
      this.#timings.abandoned.unsent++;
    }
    this.#admitNext();
  }

  /** The head of the queue goes first, even when a statement behind it would fit: a transaction must not starve. */
  #admitNext(): void {
    for (let waiter = this.#waiting[0]; waiter; waiter = this.#waiting[0]) {
      const slot = this.#placeFor(waiter);
      if (slot === undefined) break;
      this.#waiting.shift();
      clearTimeout(waiter.timer);
      if (slot instanceof ScaleError) waiter.reject(slot);
      else waiter.resolve(slot);
    }
    if (this.#onIdle && [...this.#slots].every((slot) => !slot.lent && slot.statements === 0)) this.#onIdle();
  }

  #placeFor(waiter: Waiter): Slot | ScaleError | undefined {
    try {
      return this.#place(waiter.use);
    } catch (error) {
      return error instanceof ScaleError ? error : new ScaleError("internal", messageOf(error), { cause: error });
    }
  }

  #overloaded(why: string): ScaleError {
    const connections = `all ${this.#options.poolMax} connections to PostgreSQL at ${placeOf(this.#url)} are busy`;
    return new ScaleError("overloaded", `${connections}, and ${why}`, {
      hint: "look for slow statements and for transactions that wait for something else; else raise --sql-pool-max",
      retryAfterSeconds: 1,
    });
  }
}

function closed(): ScaleError {
  return new ScaleError("draining", "the database pool is closed: this process is stopping");
}
