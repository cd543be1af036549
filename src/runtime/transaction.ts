/**
 * The transaction an application is in: found ambiently, so that what would silently happen outside of it is refused, and by its
 * handle, so that what must commit with it can be written into it. What waits for the commit runs right after it.
 */
import { AsyncLocalStorage } from "node:async_hooks";

import type { Tx } from "scale";

import { log } from "../ops/log.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { SqlSession } from "../store/sql/sql.ts";

/** One run of a transaction's body; a retry is another. */
export interface Transaction {
  open: boolean;
  readonly session: SqlSession;
  /** Run after the commit, and never where there is none. */
  readonly afterCommit: (() => Promise<void> | void)[];
}

const running = new AsyncLocalStorage<Transaction>();
const byHandle = new WeakMap<Tx, Transaction>();

/** The transaction whose body is running, however deep below it. */
export function runningTransaction(): Transaction | undefined {
  const transaction = running.getStore();
  return transaction?.open ? transaction : undefined;
}

/** The transaction of a `tx`. Throws statement_invalid where it is none, or over. */
export function transactionOf(tx: Tx, asked: string): Transaction {
  const transaction = byHandle.get(tx);
  if (transaction?.open) return transaction;
  const what = transaction === undefined ? "something that is no transaction" : "a transaction that is over";
  throw new ScaleError("statement_invalid", `${asked} got ${what} as its tx`, {
    hint: "sql.tx(async (tx) => { …; await job.enqueue(payload, { tx }); })",
  });
}

/** Runs `body` as the transaction on this session; `handle` is what the application gets of it. */
export async function inTransaction<T>(transaction: Transaction, handle: Tx, body: (tx: Tx) => Promise<T>): Promise<T> {
  byHandle.set(handle, transaction);
  try {
    return await running.run(transaction, () => body(handle));
  } finally {
    transaction.open = false;
  }
}

/** The transaction has committed: nothing of what is left to do can undo that, so a failure is logged. */
export async function committed(transaction: Transaction): Promise<void> {
  const effects = transaction.afterCommit.map(async (effect) => effect());
  for (const done of await Promise.allSettled(effects)) {
    if (done.status === "rejected") log.warn({}, `after a commit: ${messageOf(done.reason)}`);
  }
}
