/**
 * One connection to PostgreSQL: a postgres.js client of size one, used until it is lost and never reconnected.
 *
 * postgres.js does the protocol, the types and prepared statements. Its pool is not used (pool.ts is ours), because it queues without
 * a bound, and because a transaction that lost its connection there goes on to write to a closed socket, which throws outside of any
 * promise and ends the process; with size one and no second life, a statement can neither do that nor slip out of its transaction.
 */
import { Stream } from "node:stream";

import type postgres from "postgres";

import { isBouncer } from "../../std/bouncer_url.ts";
import { ScaleError } from "../../std/errors.ts";
import { handled } from "../../std/handled.ts";
import { type CancelKey, requestCancel } from "./cancel_request.ts";
import { type ConnectionOptions, openClient } from "./client.ts";
import { type Effect, endsConnection, silent, sqlFailure } from "./errors.ts";
import { eachAsJson, jsonArray } from "./json_rows.ts";
import type { Owner, SqlParameter, SqlSession, Statement } from "./sql.ts";
import { parametersOf } from "./types.ts";

/** Distinct texts kept prepared on one connection. Beyond it statements are parsed each time: lists of every length would fill the server. */
const preparedStatementsMax = 500;

/** A cancellation that arrives while the server reads the statement has no effect: it is sent again. */
const cancelAgainMilliseconds = 250;

/** A statement on its way. */
export interface Sent {
  /** `state` is known to the driver and not to its types: null until it has been sent. */
  readonly query: PromiseLike<unknown> & { readonly state?: CancelKey | null };
  readonly owner: Owner | undefined;
  /** What is thrown in place of its result, once its owner has left. */
  left: ScaleError | undefined;
}

/** The driver's options of a statement. */
interface How {
  readonly prepare: boolean;
  readonly simple: boolean;
  /** Rows are arrays of cells, cells are bytes as they came. */
  readonly raw?: true;
}

const prepared: How = { prepare: true, simple: false };
const unprepared: How = { prepare: false, simple: false };
const simple: How = { prepare: false, simple: true };
const preparedRaw: How = { ...prepared, raw: true };
const unpreparedRaw: How = { ...unprepared, raw: true };

export class Connection implements SqlSession {
  /** host:port, for messages. */
  readonly place: string;
  /** The other end is a PgBouncer in transaction mode: a transaction is all that stays on one server, and nothing else is kept there. */
  readonly isPooled: boolean;
  readonly #statementTimeout: number;
  #state: "connecting" | "ready" | "lost" = "connecting";
  #hasOpened = false;
  #isInTransaction = false;
  /** Statements that were answered or failed. */
  #answers = 0;
  readonly #unanswered: Sent[] = [];
  /** Until it is over what was sent is not answered to its callers. Never rejects. */
  #cancelling: Promise<void> | undefined;
  /** Milliseconds without an answer after which it was given up. */
  #silentFor: number | undefined;
  /** Whether this is the primary; undefined where nobody asked. */
  readonly #checked: Promise<void> | undefined;
  readonly #client: postgres.Sql;
  readonly #onLost: (unasked: boolean) => void;
  readonly #prepared = new Set<string>();

  /** `onLost` is told whether the server is to blame, or it was closed by us. */
  constructor(url: string, options: ConnectionOptions, onLost: (unasked: boolean) => void) {
    this.place = placeOf(url);
    this.isPooled = isBouncer(url);
    this.#statementTimeout = options.statementTimeout;
    this.#onLost = onLost;
    this.#client = openClient(url, options, () => void this.#lose());
    this.#checked = options.mustBePrimary ? handled(this.#check()) : undefined;
  }

  /** It has answered: more than one statement may be sent to it. */
  get ready(): boolean {
    return this.#state === "ready";
  }

  get lost(): boolean {
    return this.#state === "lost";
  }

  /** It has been ready: something may have been sent on it. Before that, what was asked of it has not happened anywhere. */
  get hasOpened(): boolean {
    return this.#hasOpened;
  }

  /** Grows with each answer. */
  get answers(): number {
    return this.#answers;
  }

  get owesAnswer(): boolean {
    return this.#unanswered.length > 0;
  }

  /** Oldest first. */
  get unanswered(): readonly Sent[] {
    return this.#unanswered;
  }

  /** The owners of all that was sent have left, and it can be cancelled. */
  get isForNobody(): boolean {
    if (this.#cancelling !== undefined || this.lost || !keyOf(this.#unanswered[0])) return false;
    return this.#unanswered.every(({ left }) => left !== undefined);
  }

  /** `owner`: who waits for it. */
  query<R extends object>({ text, parameters }: Statement, owner?: Owner): Promise<R[]> {
    const how = this.#mayPrepare(text) ? prepared : unprepared;
    return this.#run(text, parameters, how, owner) as unknown as Promise<R[]>;
  }

  async json({ text, parameters }: Statement, owner?: Owner): Promise<Uint8Array<ArrayBuffer>> {
    const each = eachAsJson(text);
    const rows = await this.#run(each, parameters, this.#mayPrepare(each) ? preparedRaw : unpreparedRaw, owner);
    return jsonArray(rows as unknown as readonly (readonly [Uint8Array])[]);
  }

  async script(text: string): Promise<void> {
    await this.#run(text, [], simple);
  }

  /** `text` is a BEGIN. The limit on statements is the connection's, except where the next transaction may run on another server. */
  async begin(text: string): Promise<void> {
    this.#isInTransaction = true;
    const limit = this.isPooled ? `; set local statement_timeout = ${this.#statementTimeout}` : "";
    await this.#run(text + limit, [], simple);
  }

  /** Runs COMMIT or ROLLBACK and returns which of them PostgreSQL did: a failed transaction answers COMMIT with ROLLBACK. */
  async end(text: "commit" | "rollback"): Promise<string> {
    const { command } = await this.#run(text, [], simple);
    this.#isInTransaction = false;
    return command;
  }

  /** The server owes answers and gives none: what was sent fails now, and nothing more is sent. */
  giveUp(milliseconds: number): void {
    this.#silentFor = milliseconds;
    void this.#lose(0, true);
  }

  /**
   * Cancels what was sent, which is for nobody. Resolves when all of it is answered and no cancellation is on its way any more; where that is
   * not known after so long, the connection is closed.
   */
  cancel(milliseconds: number): Promise<void> {
    const over = this.#cancel(performance.now() + milliseconds)
      .catch(() => this.#lose(0))
      .finally(() => (this.#cancelling = undefined));
    return (this.#cancelling = over);
  }

  /** Ends it once what was sent is answered, or after `seconds`. Idempotent. */
  async close(seconds: number): Promise<void> {
    await this.#lose(seconds);
  }

  #mayPrepare(text: string): boolean {
    if (this.isPooled) return false;
    if (this.#prepared.has(text)) return true;
    if (this.#prepared.size >= preparedStatementsMax) return false;
    this.#prepared.add(text);
    return true;
  }

  /** Rejects where it is not over at that time of performance.now(). */
  async #cancel(until: number): Promise<void> {
    const key = keyOf(this.#unanswered[0])!;
    const answered = Promise.allSettled(this.#unanswered.map(({ query }) => query));
    const rest = () => Math.max(1, until - performance.now());
    while (this.owesAnswer) {
      await requestCancel(this.#client.options, key, rest());
      await Promise.race([answered, Bun.sleep(Math.min(cancelAgainMilliseconds, rest()))]);
    }
  }

  #run(
    text: string,
    parameters: readonly SqlParameter[],
    how: How,
    owner?: Owner,
  ): Promise<postgres.RowList<postgres.Row[]>> {
    if (this.#checked === undefined) return this.#send(text, parameters, how, owner);
    return this.#checked.then(() => this.#send(text, parameters, how, owner));
  }

  /** A standby of the primary takes no writes, and a server that was demoted is one. */
  async #check(): Promise<void> {
    const [row] = await this.#send("select pg_is_in_recovery() as standby", [], unprepared);
    if (!row!["standby"]) return;
    this.#hasOpened = false;
    void this.#lose(0);
    throw new ScaleError("store_unavailable", `PostgreSQL at ${this.place} is a standby, expected the primary`, {
      hint: "promote one of the servers that --database-url names",
      retryAfterSeconds: 1,
    });
  }

  async #send(
    text: string,
    parameters: readonly SqlParameter[],
    how: How,
    owner?: Owner,
  ): Promise<postgres.RowList<postgres.Row[]>> {
    if (this.lost) throw sqlFailure({ code: "CONNECTION_CLOSED" }, this.place, text, "nothing");
    const query = this.#client.unsafe(text, parametersOf(parameters) as postgres.SerializableParameter[], how);
    if (how.raw) void query.raw();
    const sent: Sent = { query, owner, left: undefined };
    this.#unanswered.push(sent);
    try {
      const result = await query;
      if (!Array.isArray(result)) throw await this.#refuseCopy(result);
      this.#opened();
      if (sent.left === undefined) return result;
    } catch (error) {
      if (endsConnection(error)) void this.#lose();
      else this.#opened();
      if (sent.left === undefined) throw this.#failure(error, text);
    } finally {
      this.#answered(sent);
    }
    await this.#cancelling;
    throw sent.left;
  }

  #answered(sent: Sent): void {
    this.#answers++;
    // Answers come in order, but for what fails before it is sent.
    if (this.#unanswered[0] === sent) this.#unanswered.shift();
    else this.#unanswered.splice(this.#unanswered.indexOf(sent), 1);
  }

  #failure(error: unknown, text: string): Error {
    if (this.#silentFor !== undefined) return silent(this.place, this.#silentFor, this.#effectOf(text));
    return sqlFailure(error, this.place, text, this.#effectOf(text));
  }

  #opened(): void {
    this.#hasOpened = true;
    if (this.#state === "connecting") this.#state = "ready";
  }

  /** What a statement may have done whose answer never came: nothing before COMMIT, and nothing that was not sent. */
  #effectOf(text: string): Effect {
    if (!this.#hasOpened) return "nothing";
    return this.#isInTransaction && text !== "commit" ? "nothing" : "unknown";
  }

  /** Other statements that were sent still get their answer, or their error from the driver; after `seconds` always the error. */
  #lose(seconds?: number, unasked = seconds === undefined || !this.#hasOpened): Promise<void> {
    if (this.lost) return Promise.resolve();
    this.#state = "lost";
    this.#onLost(unasked);
    return this.#client.end(seconds === undefined ? {} : { timeout: seconds }).catch(() => undefined);
  }

  /** COPY gave a stream in place of rows, and the server waits for it. */
  async #refuseCopy(stream: unknown): Promise<ScaleError> {
    if (stream instanceof Stream) stream.on("error", () => undefined);
    await this.#lose(0);
    return new ScaleError("internal", "COPY from or to the client is not supported by sql", {
      hint: "insert with unnest(array, …), or use psql's \\copy",
    });
  }
}

/** What cancels it: given by the server, and undefined where it gave none or nothing was sent. */
function keyOf(sent: Sent | undefined): CancelKey | undefined {
  const key = sent?.query.state;
  return key?.pid ? key : undefined;
}

/** host:port of one or several hosts, without user and password. */
export function placeOf(url: string): string {
  return /^[a-z+]+:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(url)?.[1] || "localhost";
}
