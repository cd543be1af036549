/**
 * What an application's transaction leaves to be done after its commit: jobs and invalidations, written as rows with its data. The
 * row is the guarantee, and worker/outbox_relay.ts honours it; what can be done sooner is done right after the commit.
 */
import { log } from "../ops/log.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import {
  announce,
  deleteRows,
  deleteWaitingJob,
  findWaitingJob,
  type Invalidation,
  type OutboxJob,
  type WaitingJob,
  writeInvalidation,
  writeJobs,
} from "../store/outbox/outbox.ts";
import type { SqlRunner } from "../store/sql/sql.ts";
import { hasDatabase, runtimeSettings, sqlStore } from "./runtime.ts";
import type { Transaction } from "./transaction.ts";

/** An id for a row: unique, and in the order of time. */
export function rowId(): string {
  return Bun.randomUUIDv7();
}

function isRowId(id: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
}

/** A job that waits for a relay, by its id in the queue; none where there is no database, or no outbox in it. */
export async function jobInOutbox(queue: string, id: string): Promise<WaitingJob | undefined> {
  return isRowId(id) && hasDatabase()
    ? unlessPending((sql, namespace) => findWaitingJob(sql, namespace, queue, id))
    : undefined;
}

/** Takes a job back that no relay has moved yet. */
export async function takeBack(queue: string, id: string): Promise<boolean> {
  return (await unlessPending((sql, namespace) => deleteWaitingJob(sql, namespace, queue, id))) ?? false;
}

/** An application that never left anything in the outbox may not have one. */
async function unlessPending<T>(ask: (sql: SqlRunner, namespace: string) => Promise<T>): Promise<T | undefined> {
  try {
    return await ask(sqlStore("the outbox"), runtimeSettings("the outbox").namespace);
  } catch (error) {
    if (error instanceof ScaleError && error.code === "migrations_pending") return undefined;
    throw error;
  }
}

/** Writes jobs that a relay moves to their queue once the transaction has committed. */
export async function leaveJobs(
  transaction: Transaction,
  queue: string,
  jobs: readonly OutboxJob[],
  delayMs: number,
): Promise<void> {
  const { namespace } = runtimeSettings("the outbox");
  await writeJobs(transaction.session, namespace, queue, jobs, delayMs);
  transaction.afterCommit.push(() => tellRelays(namespace));
}

/** Writes jobs outside of any transaction, for a queue that is away. */
export async function keepJobs(queue: string, jobs: readonly OutboxJob[], delayMs: number): Promise<void> {
  const { namespace } = runtimeSettings("the outbox");
  await writeJobs(sqlStore("the outbox"), namespace, queue, jobs, delayMs);
  tellRelays(namespace);
}

/** Writes an invalidation. `now` is tried right after the commit; a relay does it again where that failed. */
export async function leaveInvalidation(
  transaction: Transaction,
  what: Invalidation,
  now: () => Promise<void>,
): Promise<void> {
  const { namespace } = runtimeSettings("the outbox");
  const id = rowId();
  await writeInvalidation(transaction.session, namespace, id, what);
  transaction.afterCommit.push(async () => {
    try {
      await now();
    } catch (error) {
      log.warn({}, `an invalidation is left to the outbox: ${messageOf(error)}`);
      return tellRelays(namespace);
    }
    // Not waited for: a row that stays is only an invalidation done twice.
    void handled(deleteRows(sqlStore("the outbox"), namespace, [id]));
  });
}

let telling = false;
let tellAgain = false;

/**
 * Announces new rows, at most one statement at a time however many commits. After the commit rather than in it: a transaction that
 * notifies takes a lock of the whole database to commit. Whom it does not reach looks by himself.
 */
function tellRelays(namespace: string): void {
  tellAgain = true;
  if (!telling) void tell(namespace);
}

async function tell(namespace: string): Promise<void> {
  telling = true;
  try {
    while (tellAgain) {
      tellAgain = false;
      await announce(sqlStore("the outbox"), namespace);
    }
  } catch {
    // The database is away, or this process is stopping: a relay's next look finds the rows.
    tellAgain = false;
  }
  telling = false;
}
