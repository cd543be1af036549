/**
 * Work that outlives a request. One interface, two drivers (redis.ts, sqlite.ts), one contract suite (test/contract/queue.test.ts).
 *
 * Invariants: a job the queue has answered for runs at least once to an outcome; an outcome counts once, fenced by the attempt's
 * token (states.ts); every queue is bounded. Running handlers, retry policy and the rhythm of promotions are the worker's.
 */
import type { Gate } from "./gates.ts";
import type { Inspector } from "./inspect.ts";
import type { Priority } from "./priorities.ts";
import type { Outcome } from "./states.ts";

export interface NewJob {
  readonly name: string;
  /** JSON text. */
  readonly payload: string;
  /** Milliseconds before it may run. */
  readonly delayMs?: number;
  /** While a job with this key has no outcome yet, enqueueing another answers with the id of the first. */
  readonly unique?: string;
  /** With a unique key: that also holds for so many milliseconds from when the job was enqueued, whatever became of it. */
  readonly throttleMs?: number;
  /** W3C traceparent of what enqueued it. */
  readonly trace?: string;
  /** Absent: normal. */
  readonly priority?: Priority;
  /** Limits that it passes in this order before it is available. */
  readonly gates?: readonly Gate[];
}

/** A job that whoever enqueues it may enqueue again without knowing whether he did: it is there once. */
export interface OnceJob extends NewJob {
  /** Without the queue; the same job always has the same. */
  readonly id: string;
  /** A schedule's tick. Then the schedule's memory decides instead of the id's: only a later tick than the last is new. */
  readonly tick?: { readonly schedule: string; readonly atMs: number };
}

/** When schedules last fired, by the store's clock: one for the whole fleet. */
export interface Ticks {
  readonly nowMs: number;
  /** In the order asked. */
  readonly lastMs: readonly number[];
}

/** With the owner's name, what an attempt must still have for its outcome to count. */
export interface Token {
  /** Where the driver holds this delivery. */
  readonly entry: string;
  /** How often it was handed to a worker since it was stored, this time included. */
  readonly deliveries: number;
}

/** A job in the hands of one worker, until it is settled or the lease runs out. */
export interface Lease extends Token {
  readonly queue: string;
  /** QUEUE:…, the same from the first enqueue through every retry. */
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  /** JSON text. */
  readonly payload: string;
  /** Attempts counted before. */
  readonly attempts: number;
  /** Attempts since then that began and had no ending: their workers died, hung or lost it. Being handed over is no attempt. */
  readonly starts: number;
  /** Whether nothing else was running where it was last begun without an ending: then nobody else is to blame. */
  readonly alone: boolean;
  readonly unique: string | undefined;
  readonly trace: string | undefined;
  readonly priority: Priority;
  readonly gates: readonly Gate[];
  /** When it was enqueued, where its id does not say. */
  readonly enqueuedAtMs: number | undefined;
  /** Since when it could have been taken, in milliseconds since the epoch. */
  readonly availableAtMs: number;
  /** "newer": written by a later version of scale. "garbled": not an envelope at all. Neither may be run. */
  readonly fault: "newer" | "garbled" | undefined;
  /** The job as it is stored, for the driver to put back. */
  readonly envelope: string;
}

/** What became of a lease. `attempts` is the number counted from now on. */
export type Settlement =
  | {
      readonly to: "completed";
      readonly lease: Lease;
      /** JSON text of what it returned; absent: nothing. */
      readonly result?: string | undefined;
      readonly durationMs?: number | undefined;
      /** How long it is kept to be looked at; absent: as long as the queue keeps them, 0: not at all. */
      readonly keepMs?: number | undefined;
    }
  | { readonly to: "available"; readonly lease: Lease; readonly attempts: number }
  | {
      readonly to: "scheduled" | "retryable";
      readonly lease: Lease;
      readonly attempts: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly to: "discarded"; readonly lease: Lease; readonly attempts: number; readonly reason: string }
  | { readonly to: "cancelled"; readonly lease: Lease; readonly attempts: number; readonly reason: string };

/** What operators want of a queue, for its workers. */
export interface Orders {
  /** No job is to be started. */
  readonly paused: boolean;
  /** Ids of jobs in some worker's hands that are to stop. */
  readonly cancelled: readonly string[];
}

export interface QueueStats {
  readonly waiting: number;
  readonly delayed: number;
  readonly running: number;
  readonly dead: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly name: string;
  readonly payload: string;
  readonly attempts: number;
  readonly reason: string;
  readonly diedAtMs: number;
}

export type QueueState = "connecting" | "ready" | "down" | "closed";

export interface Queue {
  readonly state: QueueState;
  /** Where it is kept, for people; never a password. */
  readonly place: string;

  /**
   * Answers with the ids once the store has every job. Up to a thousand are taken in one step; where a longer list fails midway, the
   * error says so. Throws ScaleError queue_full, or store_unavailable, after which the last step may or may not have happened.
   */
  enqueue(queue: string, jobs: readonly NewJob[]): Promise<readonly string[]>;

  /**
   * Like enqueue, under ids of the caller's choice, and any number of times: what the queue has seen before is not enqueued again. It
   * remembers the last `knownJobsMax` ids, and every schedule's last tick. Returns which were new.
   */
  enqueueOnce(queue: string, jobs: readonly OnceJob[]): Promise<readonly boolean[]>;

  /** The last tick of each schedule whose jobs go to this queue. One never heard of begins now: it has missed nothing. */
  ticks(queue: string, schedules: readonly string[]): Promise<Ticks>;

  /** Takes or keeps what one process of the fleet has at a time. False: another has it, until it resigns or is silent for its lease. */
  lead(owner: string, leaseMs: number): Promise<boolean>;
  resign(owner: string): Promise<void>;

  /** The taking side of one queue, under a name no other process uses. */
  consumer(queue: string, owner: string): Consumer;
  /** The holding side alone, for an owner whose consumer is elsewhere. */
  keeper(queue: string, owner: string): Keeper;

  /** The operator's side: looking at jobs and steering them. */
  readonly inspector: Inspector;
  stats(queue: string): Promise<QueueStats>;
  /** The newest first. */
  deadLetters(queue: string, max: number): Promise<readonly DeadLetter[]>;

  ping(): Promise<void>;
  /** In which ways the store, as it is set up, may lose jobs it has answered for: one sentence each, with what to do. */
  dangers(): Promise<readonly string[]>;
  /** Idempotent. Closes its consumers too. */
  close(): Promise<void>;
}

/** Holds what one owner was given, from a thread or process of its own: it neither takes nor settles. */
export interface Keeper {
  /** Starts the time of leases again. Returns those that are no longer ours: their handlers must stop. */
  renew(tokens: readonly Token[]): Promise<readonly Token[]>;
  /** Makes jobs that were not begun available again, as if they had never been taken. Those no longer ours are left alone. */
  handBack(tokens: readonly Token[]): Promise<void>;
}

/** A job that is about to run. */
export interface Beginning {
  readonly lease: Lease;
  /** Whether nothing else runs beside it. */
  readonly alone: boolean;
}

export interface Consumer extends Keeper {
  /**
   * Up to `max` available jobs, those of each priority oldest first and in turn with the others'. Waits up to `waitMs` for the first; returns what it has, perhaps nothing, once the
   * signal is aborted. One call at a time.
   */
  take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly Lease[]>;
  /**
   * Records that attempts begin. It is on its way to the store when this returns: a job that kills its process at once has been
   * counted. Returns the leases that were no longer ours: those must not run.
   */
  begin(beginnings: readonly Beginning[]): Promise<readonly Lease[]>;
  /**
   * Records outcomes, in one round trip. Returns the leases that were no longer ours: their outcome does not count. Where the answer to a
   * round got lost, asking for the same again, before any other of this consumer's, answers as it did the first time.
   */
  settle(settlements: readonly Settlement[], round?: number): Promise<readonly Lease[]>;
  /** Takes over up to `max` jobs whose lease was not renewed for `leaseMs`. */
  reclaim(max: number, leaseMs: number): Promise<readonly Lease[]>;
  /** Everything leased to this owner: also what was delivered to a connection that broke before the answer was read. */
  held(max: number): Promise<readonly Lease[]>;
  /** Makes up to `max` due jobs available. Returns the milliseconds until the next is due (0: at once), or undefined. */
  promote(max: number): Promise<number | undefined>;
  orders(): Promise<Orders>;
  /** Notes how far jobs are, as JSON text. One whose lease is no longer ours is passed over. */
  report(progress: readonly { readonly lease: Lease; readonly value: string }[]): Promise<void>;
  /** Forgets what has been kept long enough, and makes the queue known to operators. */
  prune(): Promise<void>;
  /** Leases still held run out and go to others. Idempotent. */
  close(): Promise<void>;
}

export type { Outcome };
