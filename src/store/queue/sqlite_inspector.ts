/** The operator's side of queues in SQLite. What an operator sees is inspect.ts, the tables are sqlite_statements.ts and sqlite_kept.ts. */
import type { Database } from "bun:sqlite";

import type { SqliteStore } from "../sqlite/database.ts";
import { decodeEnvelope } from "./envelope.ts";
import {
  type Cancelled,
  cancelledRecord,
  type Count,
  counts,
  type Inspector,
  type Page,
  type Place,
  queueOfId,
  type QueueOverview,
  refusedRetry,
  type Retried,
  retriedEnvelope,
  sortedCursor,
  type StoredJob,
} from "./inspect.ts";
import { beganAtOf, startsOf } from "./lease.ts";
import { cancellationsMax, queueFull, type QueueLimits, tooManyCancellations } from "./limits.ts";
import * as depth from "./sqlite_depth.ts";
import * as gates from "./sqlite_gates.ts";
import * as kept from "./sqlite_kept.ts";
import * as statements from "./sqlite_statements.ts";

interface Row {
  readonly id: number | string;
  readonly state: string;
  readonly at: number;
  readonly owner: string | null;
  readonly mark: string;
  /** Where it is parked. */
  readonly gate: string | null;
  readonly envelope: string;
  readonly bytes: number;
}

const rowsOf: { readonly [P in Exclude<Place, "done">]: string } = {
  waiting: "state = 'available'",
  running: "state = 'running'",
  parked: "gate IS NOT NULL",
  delayed: "state IN ('scheduled', 'retryable') AND gate IS NULL",
  dead: "state = 'discarded'",
};
const placeOfState = { available: "waiting", running: "running", scheduled: "delayed", retryable: "delayed" } as const;

/** The head of an envelope, and the bytes of its payload: a page must not read megabytes. */
const brief = `
substr(envelope, 1, CASE instr(envelope, char(10)) WHEN 0 THEN 200 ELSE instr(envelope, char(10)) END) AS envelope,
length(CAST(envelope AS BLOB)) - instr(CAST(envelope AS BLOB), x'0a') AS bytes`;

export class SqliteInspector implements Inspector {
  readonly #store: SqliteStore;
  readonly #limits: QueueLimits;

  constructor(store: SqliteStore, limits: QueueLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  async queues(): Promise<readonly string[]> {
    const rows = this.#store.run("list queues", (database) =>
      database.query<{ queue: string }, []>("SELECT DISTINCT queue FROM queue_count").all(),
    );
    const own = `${this.#limits.namespace}:`;
    const names = rows.filter(({ queue }) => queue.startsWith(own)).map(({ queue }) => queue.slice(own.length));
    return names.toSorted();
  }

  async overview(queue: string): Promise<QueueOverview> {
    const name = this.#name(queue);
    return this.#store.run("count jobs", (database) => {
      const numbers = database
        .query<{ count: string; value: number }, [string]>("SELECT count, value FROM queue_count WHERE queue = ?1")
        .all(name);
      const unusual = database.query<{ priority: string; jobs: number }, [string]>(statements.countUnusual).all(name);
      const [high = 0, low = 0] = ["high", "low"].map((one) => unusual.find((row) => row.priority === one)?.jobs);
      const held = depth.depthOf(database, name);
      const oldest = database.query<{ at: number | null }, [string]>(statements.oldestWaiting).get(name)?.at;
      const counted = counts.map((count) => [count, numbers.find((row) => row.count === count)?.value ?? 0]);
      return {
        ...held,
        done: kept.countDone(database, name),
        waitingBy: { high, normal: Math.max(0, held.waiting - high - low), low },
        pausedAtMs: kept.pausedSince(database, name),
        oldestWaitingAtMs: oldest ?? undefined,
        counts: Object.fromEntries(counted) as { [C in Count]: number },
      };
    });
  }

  async page(queue: string, place: Place, cursor: string | undefined, max: number): Promise<Page> {
    const down = place === "dead" || place === "done";
    const [at = down ? Number.MAX_SAFE_INTEGER : -1, id] = sortedCursor(cursor);
    const from = place === "done" ? `${doneRows} WHERE queue = ?1` : `job WHERE queue = ?1 AND ${rowsOf[place]}`;
    // The time of a parked one is never.
    const sorted = place === "parked" ? "available_at" : "at";
    const [beyond, order] = down ? ["<", "DESC"] : [">", "ASC"];
    const text = `
      SELECT id, state, ${sorted} AS at, owner, mark, gate, ${brief} FROM ${from}
      AND (${sorted}, id) ${beyond} (?2, ?3) ORDER BY ${sorted} ${order}, id ${order} LIMIT ?4`;
    const after = place === "done" || id === "" ? id : Number(id);
    const rows = this.#store.run("list jobs", (database) =>
      database
        .query<Row, [string, number, string | number, number]>(text)
        .all(this.#name(queue), Number(at), after, max),
    );
    const jobs = rows.map((row) => storedJob(queue, place, row));
    const last = jobs.at(-1);
    return { jobs, next: jobs.length < max || last === undefined ? undefined : this.cursorAfter(last) };
  }

  cursorAfter({ atMs, entry }: StoredJob): string {
    return `${atMs}@${entry}`;
  }

  async find(id: string): Promise<StoredJob | undefined> {
    const queue = queueOfId(id);
    if (queue === undefined) return undefined;
    return this.#store.run("find a job", (database) => this.#find(database, queue, id.slice(queue.length + 1)));
  }

  #find(database: Database, queue: string, id: string): StoredJob | undefined {
    const name = this.#name(queue);
    const row =
      database.query<Row, [string, string]>(findRow).get(name, id) ??
      database.query<Row, [string, string]>(findDone).get(name, id);
    if (row === null) return undefined;
    const value = "SELECT value FROM job_progress WHERE queue = ?1 AND id = ?2";
    const progress = database.query<{ value: string }, [string, string]>(value).get(name, id)?.value;
    const cancelling = database.query("SELECT 1 FROM job_cancel WHERE queue = ?1 AND id = ?2").get(name, id) !== null;
    const place = placeOfRow(row);
    return { ...storedJob(queue, place, row), cancelling, ...(progress === undefined ? {} : { progress }) };
  }

  async cancel(id: string): Promise<Cancelled> {
    const queue = queueOfId(id);
    if (queue === undefined) return "unknown";
    const inQueue = id.slice(queue.length + 1);
    return this.#store.transaction("cancel a job", (database) => {
      const job = this.#find(database, queue, inQueue);
      const outcome = this.#cancelFound(database, job, inQueue);
      const order = "DELETE FROM job_cancel WHERE queue = ?1 AND id = ?2";
      if (outcome !== "cancelling") database.query(order).run(this.#name(queue), inQueue);
      return outcome;
    });
  }

  #cancelFound(database: Database, job: StoredJob | undefined, id: string): Cancelled {
    if (job === undefined) return "unknown";
    const name = this.#name(job.queue);
    if (job.place === "dead" || job.place === "done") return "ended";
    if (job.place === "running") {
      const known = kept.cancelledIds(database, name);
      if (!known.includes(id) && known.length >= cancellationsMax) throw tooManyCancellations(job.queue);
      database.query("INSERT OR IGNORE INTO job_cancel (queue, id) VALUES (?1, ?2)").run(name, id);
      return "cancelling";
    }
    const left = gates.heldBy(database, job.entry);
    database.query("DELETE FROM job WHERE id = ?1").run(job.entry);
    gates.admit(database, name, left);
    kept.keepDone(database, name, id, Date.now() + this.#limits.completedAge, cancelledRecord(job));
    kept.forgetOrders(database, name, id);
    kept.add(database, name, "cancelled", 1);
    return "cancelled";
  }

  async retry(queue: string, ids: readonly string[]): Promise<readonly Retried[]> {
    return this.#store.transaction("retry jobs", (database) => {
      const jobs = depth.countAlive(database, this.#name(queue));
      if (jobs + ids.length > this.#limits.jobsMax) throw queueFull(queue, jobs, ids.length, this.#limits.jobsMax);
      return ids.map((id) => this.#retryFound(database, this.#find(database, queue, id.slice(queue.length + 1))));
    });
  }

  #retryFound(database: Database, job: StoredJob | undefined): Retried {
    const refused = refusedRetry(job);
    if (refused !== undefined || job === undefined) return refused ?? "unknown";
    const name = this.#name(job.queue);
    const { unique = null } = decodeEnvelope(job.envelope);
    const holder =
      unique === null ? null : database.query<Row, [string, string]>(statements.findUnique).get(name, unique);
    if (holder !== null && String(holder.id) !== job.entry) return "duplicate";
    const again = retriedEnvelope(job);
    const now = Date.now();
    const entry = job.place === "done" ? this.#restore(database, job, again) : job.entry;
    if (job.place !== "done") database.query(statements.retry).run(entry, now, unique, again);
    const limited = decodeEnvelope(again).gates.length > 0;
    if (limited) gates.pass(database, name, database.query<gates.Row, [string]>(gates.row).get(entry)!);
    return "retried";
  }

  /** Makes a row again of a job that was cancelled. */
  #restore(database: Database, { queue, entry }: StoredJob, envelope: string): string {
    const name = this.#name(queue);
    const { id = entry, unique = null, priority, gates: limits } = decodeEnvelope(envelope);
    database.query("DELETE FROM job_done WHERE queue = ?1 AND id = ?2").run(name, id);
    const row = database
      .query<{ id: number }, [string, string, number, string | null, string, string, number]>(statements.enqueue)
      .get(name, "available", Date.now(), unique, envelope, priority, limits.length)!;
    kept.noteEntry(database, name, id, row.id);
    return String(row.id);
  }

  async discard(queue: string, ids: readonly string[]): Promise<readonly boolean[]> {
    return this.#store.transaction("discard jobs", (database) =>
      ids.map((id) => {
        const job = this.#find(database, queue, id.slice(queue.length + 1));
        if (job?.place !== "dead") return false;
        database.query("DELETE FROM job WHERE id = ?1").run(job.entry);
        return true;
      }),
    );
  }

  async pause(queue: string): Promise<void> {
    this.#store.run("pause the queue", (database) =>
      database
        .query("INSERT OR IGNORE INTO queue_pause (queue, since) VALUES (?1, ?2)")
        .run(this.#name(queue), Date.now()),
    );
  }

  async resume(queue: string): Promise<void> {
    this.#store.run("resume the queue", (database) =>
      database.query("DELETE FROM queue_pause WHERE queue = ?1").run(this.#name(queue)),
    );
  }

  #name(queue: string): string {
    return `${this.#limits.namespace}:${queue}`;
  }
}

const doneRows =
  "(SELECT queue, id, 'done' AS state, until AS at, NULL AS owner, '' AS mark, NULL AS gate, envelope FROM job_done)";
const whole = "envelope, length(CAST(envelope AS BLOB)) - instr(CAST(envelope AS BLOB), x'0a') AS bytes";
const findRow = `
SELECT id, state, iif(gate IS NULL, at, available_at) AS at, owner, mark, gate, ${whole} FROM job
WHERE queue = ?1 AND id = coalesce((SELECT entry FROM job_entry WHERE queue = ?1 AND id = ?2), CAST(?2 AS INTEGER))`;
const findDone = `SELECT id, state, at, owner, mark, gate, ${whole} FROM ${doneRows} WHERE queue = ?1 AND id = ?2`;

function placeOfRow({ state, gate }: Row): Place {
  if (gate !== null) return "parked";
  return state === "done" ? "done" : (placeOfState[state as keyof typeof placeOfState] ?? "dead");
}

function storedJob(queue: string, place: Place, row: Row): StoredJob {
  const { id, at, envelope, bytes, owner, mark, gate } = row;
  const beganAtMs = beganAtOf(mark);
  const began = beganAtMs === undefined ? {} : { beganAtMs };
  const leased = place === "running" ? { owner: owner ?? "", starts: startsOf(mark), ...began } : {};
  const waits = gate === null ? {} : { waitsFor: gate };
  return { queue, place, entry: String(id), envelope, payloadBytes: bytes, atMs: at, ...leased, ...waits };
}
