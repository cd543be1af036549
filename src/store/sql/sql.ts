/**
 * The relational store: statements, transactions and sessions on one PostgreSQL, or on a primary and its replicas. One interface for a server and for the embedded
 * database, which is spoken to over the same protocol (../embedded); one contract suite runs on both.
 *
 * Invariants: values travel as parameters, never inside the text; 64-bit integers are strings; no promise of this folder rejects
 * unhandled; whatever is thrown is a SqlError (PostgreSQL refused the statement) or a ScaleError (it was not reached, or too busy).
 * Building statements from templates is not here: that is runtime/sql.ts.
 */
import type { ScaleError } from "../../std/errors.ts";
import { Database } from "./database.ts";
import type { PoolCounts } from "./pool.ts";
import type { Position } from "./position.ts";
import type { Reader } from "./reader.ts";
import type { Timings } from "./timings.ts";

export type SqlScalar = string | number | bigint | boolean | Date | Uint8Array | null;
/** One parameter. Arrays are sent as PostgreSQL's array literal, nested ones as several dimensions. */
export type SqlParameter = SqlScalar | readonly SqlParameter[];

/** A statement with $1, $2, … and their values, in order. */
export interface Statement {
  readonly text: string;
  readonly parameters: readonly SqlParameter[];
}

export type Row = Record<string, unknown>;

/** What can run statements: the store itself, a transaction, a session. */
export interface SqlRunner {
  query<R extends object = Row>(statement: Statement): Promise<R[]>;
  /** The rows as one JSON array in UTF-8, built by PostgreSQL: text that needs no decoding. A 64-bit integer in it must be cast to text. */
  json(statement: Statement): Promise<Uint8Array<ArrayBuffer>>;
}

/** One connection and its state: settings, advisory locks, temporary tables. */
export interface SqlSession extends SqlRunner {
  /** Runs a script of several statements at once; without a transaction of their own they are one. */
  script(text: string): Promise<void>;
}

/** Who waits for a statement: a request, or a job. */
export interface Owner {
  /** Why it does not wait any more: thrown in place of a result. Undefined while it does. */
  readonly left: ScaleError | undefined;
}

export type Isolation = "read committed" | "repeatable read" | "serializable";

export interface TransactionOptions {
  readonly isolation?: Isolation;
  /** How often the body may run in all when PostgreSQL asks for a retry (40001, 40P01). Default 3. */
  readonly attempts?: number;
  /** Running the body a second time does no harm even if the first was committed: then a COMMIT without an answer is tried again. */
  readonly idempotent?: boolean;
}

/** What is known of one server, for metrics. */
export interface ServerState extends PoolCounts {
  /** host:port */
  readonly name: string;
  readonly timings: Timings;
  readonly replica?: { readonly isIn: boolean; readonly lagMilliseconds: number };
}

export interface Sql extends SqlRunner {
  /** On the primary. What `reader` reads afterwards shows what this wrote. As abandoned.ts says, once `owner` has left. */
  query<R extends object = Row>(statement: Statement, reader?: Reader, owner?: Owner): Promise<R[]>;
  json(statement: Statement, reader?: Reader, owner?: Owner): Promise<Uint8Array<ArrayBuffer>>;
  /** On a replica that shows all that `reader` must see, where there is one; tried once more elsewhere if the server goes away. */
  read<R extends object = Row>(statement: Statement, reader?: Reader, owner?: Owner): Promise<R[]>;
  readJson(statement: Statement, reader?: Reader, owner?: Owner): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Runs `body` in a transaction on one connection and commits. A failed statement fails the transaction, caught by the body or
   * not. Serialization failures and deadlocks run the body again, after a pause with jitter. It is rolled back when `owner` leaves while
   * one of its statements runs.
   */
  tx<T>(body: (tx: SqlSession) => Promise<T>, options?: TransactionOptions, reader?: Reader, owner?: Owner): Promise<T>;
  /** Runs `body` on a connection of its own, outside a transaction, and closes it afterwards with all its state. Refused through a PgBouncer. */
  session<T>(body: (session: SqlSession) => Promise<T>): Promise<T>;
  /** Where the primary's log ends now: whoever has passed it shows everything committed before the call. */
  position(): Promise<Position>;
  readonly hasReplicas: boolean;
  /** The primary first. */
  readonly servers: readonly ServerState[];
  /** The same in every process that has the same password to a database of the same name. */
  readonly sharedSecret: string;
  /** As listen.ts says; refused by the embedded database, whose one session is shared, and through a PgBouncer, which keeps none. */
  listen(channel: string, heard: (payload: string | undefined) => void, signal: AbortSignal): Promise<void>;
  ping(): Promise<void>;
  /** Refuses new statements, lets those under way finish for up to five seconds, closes. Idempotent. */
  close(): Promise<void>;
}

export interface SqlOptions {
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Connections, at most. */
  readonly poolMax: number;
  /** Milliseconds after which the server cancels a statement; 0 is never. */
  readonly statementTimeout: number;
  /** Milliseconds a statement waits for a connection before it fails with `overloaded`. Default 5,000. */
  readonly waitTimeout?: number;
  /** Statements sent to one connection before it has answered. Default 4. */
  readonly pipelineMax?: number;
  /** Standbys of the primary. */
  readonly replicaUrls?: readonly string[];
  /** Milliseconds a replica may be behind before it is not read from. Default 10,000. */
  readonly lagMax?: number;
}

/** Opens postgres://USER:PASSWORD@HOST:PORT/DATABASE; with ?pgbouncer=true a PgBouncer in transaction mode. Returns at once: connections are made when statements need them. */
export function openSql(url: string, options: SqlOptions): Sql {
  return new Database(url, options);
}
