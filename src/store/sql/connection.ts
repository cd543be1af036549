/**
 * One connection to PostgreSQL: a postgres.js client of size one, used until it is lost and never reconnected.
 *
 * postgres.js does the protocol, the types and prepared statements. Its pool is not used (pool.ts is ours), because it queues without
 * a bound, and because a transaction that lost its connection there goes on to write to a closed socket, which throws outside of any
 * promise and ends the process; with size one and no second life, a statement can neither do that nor slip out of its transaction.
 */
import { Stream } from "node:stream";

import postgres from "postgres";

import { isBouncer, withoutBouncer } from "../../std/bouncer_url.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { handled } from "../../std/handled.ts";
import { type Effect, endsConnection, silent, sqlFailure } from "./errors.ts";
import { eachAsJson, jsonArray } from "./json_rows.ts";
import type { SqlParameter, SqlSession, Statement } from "./sql.ts";
import { parametersOf, types } from "./types.ts";

export interface ConnectionOptions {
  readonly applicationName: string;
  /** Refuse a server that accepts no writes: its URL is one of several. */
  readonly mustBePrimary?: boolean;
  /** Milliseconds; 0 is never. */
  readonly statementTimeout: number;
  /** Called with the payload of every notification, on a connection that listens. */
  readonly onNotify?: (payload: string) => void;
}

const connectTimeoutSeconds = 3;
/** Where there is another server to try. */
const connectTimeoutSecondsOfMany = 1;
/** Distinct texts kept prepared on one connection. Beyond it statements are parsed each time: lists of every length would fill the server. */
const preparedStatementsMax = 500;

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
  /** Statements sent, and those of them that were answered or failed. */
  #sent = 0;
  #answers = 0;
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
    return this.#sent > this.#answers;
  }

  query<R extends object>({ text, parameters }: Statement): Promise<R[]> {
    return this.#run(text, parameters, this.#mayPrepare(text) ? prepared : unprepared) as unknown as Promise<R[]>;
  }

  async json({ text, parameters }: Statement): Promise<Uint8Array<ArrayBuffer>> {
    const each = eachAsJson(text);
    const rows = await this.#run(each, parameters, this.#mayPrepare(each) ? preparedRaw : unpreparedRaw);
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

  #run(text: string, parameters: readonly SqlParameter[], how: How): Promise<postgres.RowList<postgres.Row[]>> {
    if (this.#checked === undefined) return this.#send(text, parameters, how);
    return this.#checked.then(() => this.#send(text, parameters, how));
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

  async #send(text: string, parameters: readonly SqlParameter[], how: How): Promise<postgres.RowList<postgres.Row[]>> {
    if (this.lost) throw sqlFailure({ code: "CONNECTION_CLOSED" }, this.place, text, "nothing");
    this.#sent++;
    try {
      const query = this.#client.unsafe(text, parametersOf(parameters) as postgres.SerializableParameter[], how);
      const result = await (how.raw ? query.raw() : query);
      if (!Array.isArray(result)) throw await this.#refuseCopy(result);
      this.#opened();
      return result;
    } catch (error) {
      if (endsConnection(error)) void this.#lose();
      else this.#opened();
      if (this.#silentFor !== undefined) throw silent(this.place, this.#silentFor, this.#effectOf(text));
      throw sqlFailure(error, this.place, text, this.#effectOf(text));
    } finally {
      this.#answers++;
    }
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

function openClient(url: string, options: ConnectionOptions, onclose: () => void): postgres.Sql {
  const { onNotify, applicationName, statementTimeout } = options;
  // Known to the driver and not to its types.
  const hearing = onNotify ? { onnotify: (_: string, payload: string) => onNotify(payload) } : {};
  try {
    return postgres(withoutBouncer(url), {
      ...hearing,
      max: 1,
      types,
      // A round trip per connection for user-defined types, which stay text without it.
      fetch_types: false,
      connect_timeout: options.mustBePrimary ? connectTimeoutSecondsOfMany : connectTimeoutSeconds,
      // The driver's timers see neither our transactions nor our pool.
      idle_timeout: 0,
      max_lifetime: null,
      backoff: () => 0,
      onnotice: () => undefined,
      onclose,
      // PgBouncer refuses a parameter that it does not carry from server to server.
      connection: {
        application_name: applicationName,
        ...(isBouncer(url) ? {} : { statement_timeout: statementTimeout }),
      },
    });
  } catch (error) {
    throw new ScaleError("configuration_invalid", `the database URL cannot be read: ${withoutUrl(error, url)}`, {
      hint: "--database-url=postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    });
  }
}

/** A parser's complaint may quote the URL, and the URL has a password. */
function withoutUrl(error: unknown, url: string): string {
  return messageOf(error).replaceAll(url, "(not shown)");
}

/** host:port of one or several hosts, without user and password. */
export function placeOf(url: string): string {
  return /^[a-z+]+:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(url)?.[1] || "localhost";
}
