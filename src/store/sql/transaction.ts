/**
 * One transaction: BEGIN, the body's statements one at a time, COMMIT; and again from the start when PostgreSQL asks for it.
 *
 *     open ── body returned, no statement failed ──▶ COMMIT ──▶ over
 *       └──── body threw, or a statement failed ───▶ ROLLBACK ─▶ over, or once more (40001, 40P01)
 *
 * A statement whose owner leaves has failed (abandoned.ts).
 *
 * Invariant: a body that returns has committed everything or it is told otherwise; after `over` no statement is accepted.
 */
import { fullJitter } from "../../std/backoff.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { handled } from "../../std/handled.ts";
import type { Connection } from "./connection.ts";
import { asksForRetry, isLost, isNotPrimary, SqlError } from "./errors.ts";
import type { Pool } from "./pool.ts";
import type { Isolation, Owner, Row, SqlSession, Statement, TransactionOptions } from "./sql.ts";

const attemptsDefault = 3;
const pauseBaseMilliseconds = 10;
const pauseMaxMilliseconds = 250;

const begin: { readonly [I in Isolation]: string } = {
  "read committed": "begin isolation level read committed",
  "repeatable read": "begin isolation level repeatable read",
  serializable: "begin isolation level serializable",
};

export async function transaction<T>(
  pool: Pool,
  body: (tx: SqlSession) => Promise<T>,
  options: TransactionOptions = {},
  onCommit: (connection: Connection) => void = () => undefined,
  owner?: Owner,
): Promise<T> {
  const { isolation, attempts = attemptsDefault, idempotent = false } = options;
  const opening = isolation === undefined ? "begin" : begin[isolation];
  if (opening === undefined)
    throw new ScaleError("statement_invalid", `isolation is ${isolation}, expected ${Object.keys(begin).join(" or ")}`);
  for (let attempt = 1; ; attempt++) {
    let used: Connection | undefined;
    try {
      return await pool.lent(
        async (connection) => {
          used = connection;
          await connection.begin(opening);
          return once(new Transaction(connection, owner), body, onCommit);
        },
        "tx",
        owner,
      );
    } catch (error) {
      if (attempt >= attempts || !mayRunAgain(error, used?.hasOpened === true, idempotent)) throw error;
      await Bun.sleep(fullJitter(attempt, pauseBaseMilliseconds, pauseMaxMilliseconds));
    }
  }
}

/**
 * What PostgreSQL asks for, and what never reached its COMMIT because the server went away or is not the primary any more. Where the
 * COMMIT was sent and not answered only the caller can know whether a second time does harm.
 */
function mayRunAgain(error: unknown, wasConnected: boolean, idempotent: boolean): boolean {
  if (asksForRetry(error) || isNotPrimary(error)) return true;
  return isLost(error) && wasConnected && (error.code === "store_unavailable" || idempotent);
}

async function once<T>(
  tx: Transaction,
  body: (tx: SqlSession) => Promise<T>,
  onCommit: (connection: Connection) => void,
): Promise<T> {
  try {
    const result = await body(tx);
    await tx.commit(onCommit);
    return result;
  } catch (error) {
    await tx.rollback();
    // What the body made of a failed statement is less than the statement's own error: only that says whether to try again.
    throw saysWhetherToTryAgain(tx.failure) ? tx.failure : error;
  }
}

function saysWhetherToTryAgain(failure: Error | undefined): failure is Error {
  return asksForRetry(failure) || isNotPrimary(failure) || isLost(failure);
}

class Transaction implements SqlSession {
  /** The first statement that failed; PostgreSQL ignores every later one until the end. */
  failure: Error | undefined;
  readonly #connection: Connection;
  readonly #owner: Owner | undefined;
  #over = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection, owner: Owner | undefined) {
    this.#connection = connection;
    this.#owner = owner;
  }

  query<R extends object = Row>(statement: Statement): Promise<R[]> {
    return this.#next(() => this.#connection.query<R>(statement, this.#owner));
  }

  json(statement: Statement): Promise<Uint8Array<ArrayBuffer>> {
    return this.#next(() => this.#connection.json(statement, this.#owner));
  }

  script(text: string): Promise<void> {
    return this.#next(() => this.#connection.script(text));
  }

  /**
   * `onCommit` is called when COMMIT has been sent: what it sends on the connection runs right behind it. A COMMIT has no owner: one that were
   * cancelled might have happened all the same (waiting for a standby, it has), and nobody could say.
   */
  async commit(onCommit: (connection: Connection) => void): Promise<void> {
    this.#over = true;
    await this.#last;
    if (this.failure !== undefined) throw this.failure;
    const answer = this.#connection.end("commit");
    onCommit(this.#connection);
    const command = await answer;
    if (command !== "COMMIT")
      throw new SqlError({ message: "the transaction was rolled back", code: "25P02" }, "commit");
  }

  /** Never throws: a connection that cannot roll back is closed, and PostgreSQL rolls back for it. */
  async rollback(): Promise<void> {
    this.#over = true;
    await this.#last;
    if (this.#connection.lost) return;
    await this.#connection.end("rollback").catch(() => this.#connection.close(0));
  }

  /** One at a time, in the order they were asked for: a statement sent behind one that fails would only hide its error. */
  #next<T>(run: () => Promise<T>): Promise<T> {
    if (this.#over) return handled(Promise.reject(transactionOver()));
    const result = this.#last.then(run);
    this.#last = result.catch((error: unknown) => {
      this.failure ??= error instanceof Error ? error : new ScaleError("internal", messageOf(error), { cause: error });
    });
    return result;
  }
}

function transactionOver(): ScaleError {
  return new ScaleError("internal", "a statement was given to a transaction that is over", {
    hint: "await every tx.read and tx.write before the body of sql.tx returns",
  });
}
