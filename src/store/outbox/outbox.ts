/**
 * The outbox: what must happen in another store if and only if a transaction commits, written as rows of that transaction.
 *
 *     written in tx ── COMMIT ──▶ waiting ── relay takes, locked ──▶ done in the other store ── deleted ──▶ gone
 *                                    ▲                                       │
 *                                    └── the relay dies: its lock ends ──────┘    done again, under the same id: once
 *
 * Here are the rows, one statement each. Who writes them is runtime/outbox.ts, who moves them worker/outbox_relay.ts.
 */
import { ScaleError } from "../../std/errors.ts";
import type { NewJob } from "../queue/queue.ts";
import { SqlError } from "../sql/errors.ts";
import type { Row, SqlRunner, SqlSession, Statement } from "../sql/sql.ts";

/** A job's id is its row's. */
export type OutboxJob = NewJob & { readonly id: string };

export interface Invalidation {
  readonly keys: readonly string[];
  readonly tags: readonly string[];
}

export type OutboxKind = "job" | "invalidation";

/** A row as the relay takes it. */
export interface OutboxRow {
  readonly id: string;
  readonly kind: OutboxKind;
  readonly queue: string | null;
  /** JSON: an OutboxJob without id and delay, or an Invalidation. */
  readonly body: string;
  /** Milliseconds until a delayed job is due; negative where it was. */
  readonly delayMs: number | null;
}

/** A job that no relay has moved yet. */
export interface WaitingJob {
  readonly name: string;
  /** Milliseconds until a delayed job is due. */
  readonly delayMs: number | null;
}

export interface OutboxDepth {
  readonly rows: number;
  readonly oldestSeconds: number;
}

export interface Wanted {
  readonly kind: OutboxKind;
  /** Queues whose rows are left where they are. */
  readonly except: readonly string[];
  readonly max: number;
}

/** Announced after a commit; the payload is the namespace. */
export const outboxChannel = "scale_outbox";

/** Of the body. A row of a later version is left for a relay that knows it. */
const version = 1;
const insertRowsMax = 1_000;
/** Rows counted, at most: beyond it nobody needs to know exactly. */
const depthRowsMax = 100_000;
/** A relay that hangs in its transaction loses it, and its rows, after this long. */
const relaySecondsMax = 30;

const missing = new Set(["42P01", "3F000"]);

/** Writes jobs for one queue. Throws migrations_pending where scale's own tables are missing. */
export async function writeJobs(
  runner: SqlRunner,
  namespace: string,
  queue: string,
  jobs: readonly OutboxJob[],
  delayMs: number,
): Promise<void> {
  for (let start = 0; start < jobs.length; start += insertRowsMax) {
    const step = jobs.slice(start, start + insertRowsMax);
    await run(
      runner,
      `insert into scale.outbox (namespace, id, kind, version, queue, body, due_at)
       select $1, id, 'job', ${version}, $2, body, clock_timestamp() + nullif($5::float8, 0) * interval '1 ms'
       from unnest($3::uuid[], $4::text[]) as jobs (id, body)`,
      [
        namespace,
        queue,
        step.map(({ id }) => id),
        step.map((job) => JSON.stringify({ ...job, id: undefined, delayMs: undefined })),
        delayMs,
      ],
    );
  }
}

export async function writeInvalidation(
  runner: SqlRunner,
  namespace: string,
  id: string,
  what: Invalidation,
): Promise<void> {
  await run(
    runner,
    `insert into scale.outbox (namespace, id, kind, version, body) values ($1, $2, 'invalidation', ${version}, $3)`,
    [namespace, id, JSON.stringify(what)],
  );
}

/** Whether the table is there yet: asked without an error in PostgreSQL's log. */
export async function isMigrated(runner: SqlRunner): Promise<boolean> {
  const text = "select to_regclass('scale.outbox') is not null as found";
  const [exists] = await runner.query<{ found: boolean }>({ text, parameters: [] });
  return exists?.found === true;
}

/** Whether there is anything to take. */
export async function hasRows(runner: SqlRunner, namespace: string, kind: OutboxKind): Promise<boolean> {
  const text = `select 1 from scale.outbox where namespace = $1 and kind = $2 and version <= ${version} limit 1`;
  return (await run(runner, text, [namespace, kind])).length > 0;
}

/** Locks up to `max` rows for the transaction, the oldest first, passing over what another relay has locked. */
export async function takeRows(tx: SqlSession, namespace: string, wanted: Wanted): Promise<readonly OutboxRow[]> {
  await tx.script(`set local idle_in_transaction_session_timeout = '${relaySecondsMax}s'`);
  return run<OutboxRow & Row>(
    tx,
    `select id::text, kind, queue, body, extract(epoch from due_at - clock_timestamp())::float8 * 1000 as "delayMs"
     from scale.outbox
     where namespace = $1 and version <= ${version} and kind = $2 and (queue is null or queue <> all($3))
     order by namespace, id limit $4 for update skip locked`,
    [namespace, wanted.kind, wanted.except, wanted.max],
  );
}

export async function deleteRows(runner: SqlRunner, namespace: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await run(runner, "delete from scale.outbox where namespace = $1 and id = any($2::uuid[])", [namespace, ids]);
}

/** A job that no relay has moved yet. */
export async function findWaitingJob(
  runner: SqlRunner,
  namespace: string,
  queue: string,
  id: string,
): Promise<WaitingJob | undefined> {
  const text = `
    select body, extract(epoch from due_at - clock_timestamp())::float8 * 1000 as "delayMs" from scale.outbox
    where namespace = $1 and id = $2::uuid and kind = 'job' and queue = $3 and version <= ${version}`;
  const [row] = await run<{ body: string; delayMs: number | null }>(runner, text, [namespace, id, queue]);
  return row && { name: (JSON.parse(row.body) as OutboxJob).name, delayMs: row.delayMs };
}

/** Takes back a job that no relay has moved yet. A row that is on its way is waited for, and then it is too late: false. */
export async function deleteWaitingJob(
  runner: SqlRunner,
  namespace: string,
  queue: string,
  id: string,
): Promise<boolean> {
  const text = `
    delete from scale.outbox where namespace = $1 and id = $2::uuid and kind = 'job' and queue = $3 returning 1`;
  return (await run(runner, text, [namespace, id, queue])).length > 0;
}

/** What nobody can read stays in the table, and no relay takes it again. */
export async function setAside(tx: SqlSession, namespace: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const text = "update scale.outbox set kind = 'unreadable' where namespace = $1 and id = any($2::uuid[])";
  await run(tx, text, [namespace, ids]);
}

/** Says to every relay that listens that there is something. */
export async function announce(runner: SqlRunner, namespace: string): Promise<void> {
  await runner.query({ text: `select pg_notify('${outboxChannel}', $1)`, parameters: [namespace] });
}

/** Rows that wait, and the age of the oldest. */
export async function outboxDepth(runner: SqlRunner, namespace: string): Promise<OutboxDepth> {
  const [depth] = await run<{ rows: string; age: number | null }>(
    runner,
    `select count(*) as rows, extract(epoch from clock_timestamp() - min(created_at))::float8 as age
     from (select created_at from scale.outbox where namespace = $1 order by namespace, id limit ${depthRowsMax}) waiting`,
    [namespace],
  );
  return { rows: Number(depth!.rows), oldestSeconds: Math.max(0, depth!.age ?? 0) };
}

async function run<R extends Row>(runner: SqlRunner, text: string, parameters: Statement["parameters"]): Promise<R[]> {
  try {
    return await runner.query<R>({ text, parameters });
  } catch (error) {
    if (!(error instanceof SqlError) || !missing.has(error.code)) throw error;
    throw new ScaleError("migrations_pending", "the database does not have scale's own tables yet (scale.outbox)", {
      hint: "scale migrate, or --migrate=auto for role app",
      cause: error,
    });
  }
}
