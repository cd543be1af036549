/**
 * What an operator sees of a queue's jobs, and does with them. Two drivers (redis_inspector.ts, sqlite_inspector.ts); looking for jobs
 * by name or age is search.ts, who asks is the command line, a worker's page and `Job.status`.
 *
 * Invariant: every operation has a bounded cost. A job is found by its id in a constant number of steps; lists come in pages.
 */
import { amendEnvelope, type Amendment, decodeEnvelope, type JobEvent } from "./envelope.ts";
import type { Gate } from "./gates.ts";
import type { Priority } from "./priorities.ts";
import type { QueueStats } from "./queue.ts";
import type { JobState } from "./states.ts";

/** Where a driver holds jobs: one ordered list each. */
export const places = ["running", "waiting", "parked", "delayed", "dead", "done"] as const;
export type Place = (typeof places)[number];

/** A job that is parked is available as far as itself is concerned. */
export const placesOf: { readonly [S in JobState]: readonly Place[] } = {
  available: ["waiting", "parked"],
  scheduled: ["delayed"],
  retryable: ["delayed"],
  running: ["running"],
  completed: ["done"],
  cancelled: ["done"],
  discarded: ["dead"],
};

/** A job as a driver finds it. In a page the envelope may lack its payload; in what `find` answers it is whole. */
export interface StoredJob {
  readonly queue: string;
  /** Where the driver holds it; its id where the envelope knows no other. */
  readonly entry: string;
  readonly place: Place;
  readonly envelope: string;
  readonly payloadBytes: number;
  /**
   * Milliseconds since the epoch: since when it waits or is parked, when it is due, when its lease was last renewed, when it died, until when it is
   * kept.
   */
  readonly atMs: number;
  readonly owner?: string;
  /** How often a running one has begun since it was stored; 0: its worker has not come to it yet. */
  readonly starts?: number;
  /** When a running one last began, where that is known. */
  readonly beganAtMs?: number;
  /** JSON text. */
  readonly progress?: string;
  /** It was told to stop. */
  readonly cancelling?: boolean;
  /** The gate that a parked one waits at. */
  readonly waitsFor?: string;
  /** And its position there, where the driver has one. */
  readonly parkedAs?: string;
}

export interface JobSummary {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  readonly state: JobState;
  /** Attempts so far, one that runs included. */
  readonly attempts: number;
  /** See StoredJob; of one that runs, when it began, of one that was completed or cancelled, when. */
  readonly atMs: number;
  readonly enqueuedAtMs: number | undefined;
  /** Why its last attempt did not complete. */
  readonly reason: string | undefined;
  readonly priority: Priority;
  /** The gate at which it waits for a place. */
  readonly waitsFor: string | undefined;
  readonly payloadBytes: number;
}

export interface JobDetails extends JobSummary {
  /** JSON text; absent once it completed. */
  readonly payload: string | undefined;
  /** JSON text of what it returned. */
  readonly result: string | undefined;
  /** JSON text. */
  readonly progress: string | undefined;
  readonly durationMs: number | undefined;
  readonly history: readonly JobEvent[];
  readonly unique: string | undefined;
  readonly gates: readonly Gate[];
  /** The worker that has it. */
  readonly owner: string | undefined;
  readonly cancelling: boolean;
}

export interface Page {
  readonly jobs: readonly StoredJob[];
  /** Where the next page begins; absent: there is none. */
  readonly next: string | undefined;
}

export interface QueueOverview extends QueueStats {
  /** Completed and cancelled jobs that are still kept. */
  readonly done: number;
  /** Waiting for a place at a gate. */
  readonly parked: number;
  /** Of those that wait. */
  readonly waitingBy: { readonly [P in Priority]: number };
  /** Since when the queue is paused, in milliseconds since the epoch. */
  readonly pausedAtMs: number | undefined;
  /** Since when the oldest waiting job waits, likewise. */
  readonly oldestWaitingAtMs: number | undefined;
  /** Counted by the store since the queue exists: what became of attempts, and how many jobs became available. */
  readonly counts: { readonly [count in Count]: number };
}

export const counts = ["arrived", "completed", "retried", "discarded", "cancelled"] as const;
export type Count = (typeof counts)[number];

/** "cancelling": the worker that has it is told; "ended": it had its outcome already; "unknown": no such job. */
export type Cancelled = "cancelled" | "cancelling" | "ended" | "unknown";
/** Why a job was not made available: it is on its way already, it completed, another holds its unique key, or there is none. */
export type Retried = "retried" | "underway" | "completed" | "duplicate" | "unknown";

export interface Inspector {
  /** Names of the queues that have been used, in order. */
  queues(): Promise<readonly string[]>;
  overview(queue: string): Promise<QueueOverview>;
  /** Up to `max` jobs of one place after `cursor`. Oldest first; dead and done the newest first. Throws RangeError for a cursor that is none. */
  page(queue: string, place: Place, cursor: string | undefined, max: number): Promise<Page>;
  /** The cursor of a page that begins after this job. */
  cursorAfter(job: StoredJob): string;
  find(id: string): Promise<StoredJob | undefined>;
  cancel(id: string): Promise<Cancelled>;
  /** Makes jobs that nobody runs available, their attempts counted anew, in one step. Throws queue_full. */
  retry(queue: string, ids: readonly string[]): Promise<readonly Retried[]>;
  /** Forgets dead letters. False: it is none. */
  discard(queue: string, ids: readonly string[]): Promise<readonly boolean[]>;
  /** No worker starts a job of the queue until it is resumed. */
  pause(queue: string): Promise<void>;
  resume(queue: string): Promise<void>;
}

/** The queue in a job's id, QUEUE:…, or undefined where it is none. What was chosen as an id may hold anything but control characters. */
export function queueOfId(id: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- they are what is refused
  return /^([a-z0-9][a-z0-9_-]{0,62}):[^\x00-\x1f\x7f]{1,400}$/.exec(id)?.[1];
}

/** The error of a cursor that no page gave. */
export function notACursor(cursor: string): RangeError {
  return new RangeError(`the cursor is ${JSON.stringify(cursor)}, expected one that a search answered with`);
}

/** Score and id of the last job of a page, in a place that is sorted: AT@ID. Nothing where a page is the first. */
export function sortedCursor(cursor: string | undefined): readonly [at: string | undefined, id: string] {
  if (cursor === undefined) return [undefined, ""];
  const [, at, id] = /^(\d{1,16})@(.+)$/.exec(cursor) ?? [];
  if (at === undefined || id === undefined) throw notACursor(cursor);
  return [at, id];
}

export function summaryOf(stored: StoredJob): JobSummary {
  const { queue, entry, place, atMs, payloadBytes, starts = 0 } = stored;
  const {
    id = entry,
    name,
    attempts,
    reason,
    history,
    enqueuedAtMs,
    ended,
    priority,
  } = decodeEnvelope(stored.envelope);
  const state = stateOf(place, history.at(-1), ended?.to);
  return {
    id: `${queue}:${id}`,
    queue,
    name,
    state,
    attempts: attempts + starts,
    atMs: ended?.atMs ?? stored.beganAtMs ?? atMs,
    enqueuedAtMs: enqueuedAtMs ?? clockIn(id),
    reason: state === "completed" ? undefined : reason,
    priority,
    waitsFor: stored.waitsFor,
    payloadBytes,
  };
}

export function detailsOf(stored: StoredJob): JobDetails {
  const summary = summaryOf(stored);
  const { payload, history, unique, gates, ended } = decodeEnvelope(stored.envelope);
  const completed = summary.state === "completed";
  return {
    ...summary,
    payload: completed ? undefined : payload,
    result: completed && payload !== "" ? payload : undefined,
    // What an attempt before this said stays in the store until somebody says more.
    progress: summary.state === "running" ? stored.progress : undefined,
    durationMs: completed ? ended?.durationMs : undefined,
    history,
    unique,
    gates,
    owner: stored.owner,
    cancelling: stored.cancelling === true,
  };
}

/** Why a job cannot be retried, as far as its place says; undefined: it can. */
export function refusedRetry(stored: StoredJob | undefined): Retried | undefined {
  if (stored === undefined) return "unknown";
  if (stored.place === "waiting" || stored.place === "parked" || stored.place === "running") return "underway";
  return summaryOf(stored).state === "completed" ? "completed" : undefined;
}

/** The envelope of a job that an operator makes available again. */
export function retriedEnvelope(stored: StoredJob): string {
  const { state, attempts } = summaryOf(stored);
  const reason = `retried by an operator, ${state} after ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`;
  return anew(stored, { attempts: 0, event: { at: Date.now(), to: "available", reason } });
}

/** What is kept of a job that an operator cancelled before it ran. */
export function cancelledRecord(stored: StoredJob): string {
  const at = Date.now();
  const reason = "cancelled by an operator";
  const { attempts } = decodeEnvelope(stored.envelope);
  return anew(stored, {
    attempts,
    reason,
    event: { at, to: "cancelled", reason },
    ended: { to: "cancelled", at, ms: 0 },
  });
}

function anew({ entry, envelope }: StoredJob, amendment: Omit<Amendment, "id">): string {
  return amendEnvelope(envelope, { id: decodeEnvelope(envelope).id ?? entry, ...amendment });
}

function stateOf(place: Place, last: JobEvent | undefined, ended: "completed" | "cancelled" | undefined): JobState {
  switch (place) {
    case "waiting":
    case "parked":
      return "available";
    case "delayed":
      return last?.to === "retryable" ? "retryable" : "scheduled";
    case "running":
      return "running";
    case "dead":
      return "discarded";
    case "done":
      return ended ?? "completed";
  }
}

/** An id made by Redis begins with its clock in milliseconds. */
function clockIn(id: string): number | undefined {
  const clock = /^(\d{13})-/.exec(id)?.[1];
  return clock === undefined ? undefined : Number(clock);
}
