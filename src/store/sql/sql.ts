/**
 * The relational store: statements, transactions and sessions on one PostgreSQL. One interface for a server and for the embedded
 * database, which is spoken to over the same protocol (../embedded); one contract suite runs on both.
 *
 * Invariants: values travel as parameters, never inside the text; 64-bit integers are strings; no promise of this folder rejects
 * unhandled; whatever is thrown is a SqlError (PostgreSQL refused the statement) or a ScaleError (it was not reached, or too busy).
 * Building statements from templates is not here: that is runtime/sql.ts.
 */
import { handled } from "../../std/handled.ts";
import { Pool } from "./pool.ts";
import { transaction } from "./transaction.ts";

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
  /** The rows as one JSON array, built by PostgreSQL: text that needs no decoding. A 64-bit integer in it must be cast to text. */
  json(statement: Statement): Promise<string>;
}

/** One connection and its state: settings, advisory locks, temporary tables. */
export interface SqlSession extends SqlRunner {
  /** Runs a script of several statements at once; without a transaction of their own they are one. */
  script(text: string): Promise<void>;
}

export type Isolation = "read committed" | "repeatable read" | "serializable";

export interface TransactionOptions {
  readonly isolation?: Isolation;
  /** How often the body may run in all when PostgreSQL asks for a retry (40001, 40P01). Default 3. */
  readonly attempts?: number;
}

export interface Sql extends SqlRunner {
  /**
   * Runs `body` in a transaction on one connection and commits. A failed statement fails the transaction, caught by the body or
   * not. Serialization failures and deadlocks run the body again, after a pause with jitter.
   */
  tx<T>(body: (tx: SqlSession) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Runs `body` on a connection of its own, outside a transaction, and closes it afterwards with all its state. */
  session<T>(body: (session: SqlSession) => Promise<T>): Promise<T>;
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
}

/** Opens postgres://USER:PASSWORD@HOST:PORT/DATABASE. Returns at once: connections are made when statements need them. */
export function openSql(url: string, options: SqlOptions): Sql {
  const pool = new Pool(url, options);
  return {
    query: (statement) => handled(pool.shared((connection) => connection.query(statement))),
    json: (statement) => handled(pool.shared((connection) => connection.json(statement))),
    tx: (body, transactionOptions) => handled(transaction(pool, body, transactionOptions)),
    session: (body) => handled(pool.session(body)),
    ping: () => handled(pool.shared((connection) => connection.ping())),
    close: () => handled(pool.close()),
  };
}
