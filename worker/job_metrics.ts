/** What role worker counts, in plain numbers read when scraped, and its one line a job. */
import { logLine } from "../src/ops/access_log.ts";
import { collect, collectHistogram } from "../src/ops/metrics.ts";
import { Histogram } from "../src/std/histogram.ts";
import type { QueueOverview } from "../src/store/queue/inspect.ts";
import { priorities } from "../src/store/queue/priorities.ts";
import type { Outcome } from "../src/store/queue/queue.ts";

/** How a delivery ended for this worker. "lost": the lease had gone to another, the outcome did not count. */
export type Result = "completed" | "retried" | "discarded" | "cancelled" | "postponed" | "released" | "lost";

const results = {
  completed: "completed",
  available: "released",
  retryable: "retried",
  scheduled: "postponed",
  discarded: "discarded",
  cancelled: "cancelled",
} as const;

export function resultOf(to: Outcome): Result {
  return results[to];
}

interface Series {
  readonly queue: string;
  readonly job: string;
  readonly durations: Histogram;
  readonly waits: Histogram;
  readonly results: Map<Result, number>;
  /** How every line of it begins. */
  readonly line: string;
}

/** What one delivery came to. Times in milliseconds; undefined where it never started. */
export interface Processed {
  readonly queue: string;
  readonly job: string;
  readonly id: string;
  readonly attempt: number;
  /** traceparent of what enqueued it. */
  readonly trace: string | undefined;
  readonly result: Result;
  readonly waitMs: number;
  readonly durationMs: number | undefined;
}

/** The trace's id in a traceparent. */
const [traceIdStart, traceIdEnd] = [3, 35];
/** Jobs take longer than requests. */
const jobSecondsBuckets: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600];

const byJob = new Map<string, Series>();
const depths = new Map<string, QueueOverview>();
let recovered = 0;
let blocked = 0;

/** Counts one delivery and writes its line. The job's name must be one this worker defines, or "unknown". */
export function countProcessed(processed: Processed): void {
  const { queue, job, result, waitMs, durationMs } = processed;
  const series = seriesOf(queue, job);
  series.results.set(result, (series.results.get(result) ?? 0) + 1);
  if (durationMs !== undefined) {
    series.durations.observe(durationMs / 1_000);
    series.waits.observe(waitMs / 1_000);
  }
  const { id, attempt, trace } = processed;
  const traced = trace === undefined ? "" : `,"trace":${JSON.stringify(trace.slice(traceIdStart, traceIdEnd))}`;
  const took = durationMs === undefined ? "" : `,"ms":${Math.round(durationMs * 100) / 100}`;
  logLine(
    `${series.line}${quoted(id)},"attempt":${attempt}` +
      `,"result":"${result}","waitMs":${Math.round(waitMs)}${took}${traced}`,
    Date.now(),
  );
}

/** Jobs taken over from a worker that went silent. */
export function countRecovered(jobs: number): void {
  recovered += jobs;
}

/** A handler has kept the event loop for so long that the heartbeat noticed. */
export function countBlocked(): void {
  blocked++;
}

export function setDepth(queue: string, overview: QueueOverview): void {
  depths.set(queue, overview);
}

/** Puts the worker's metrics on /metrics. */
export function publishJobMetrics(slots: { readonly used: number; readonly max: number }): void {
  collect("jobs_processed_total", (report) => {
    for (const { queue, job, results } of byJob.values()) {
      for (const [result, count] of results) report({ queue, job, result }, count);
    }
  });
  collectHistogram("job_duration_seconds", (report) => {
    for (const { queue, job, durations } of byJob.values()) report({ queue, job }, durations);
  });
  collectHistogram("job_wait_seconds", (report) => {
    for (const { queue, job, waits } of byJob.values()) report({ queue, job }, waits);
  });
  collect("worker_blocked_total", (report) => report({}, blocked));
  collect("jobs_recovered_total", (report) => report({}, recovered));
  collect("queue_jobs", (report) => {
    for (const [queue, { waiting, parked, delayed, running, dead, done }] of depths) {
      report({ queue, state: "waiting" }, waiting);
      report({ queue, state: "parked" }, parked);
      report({ queue, state: "delayed" }, delayed);
      report({ queue, state: "running" }, running);
      report({ queue, state: "dead" }, dead);
      report({ queue, state: "done" }, done);
    }
  });
  collect("queue_waiting_jobs", (report) => {
    for (const [queue, { waitingBy }] of depths) {
      for (const priority of priorities) report({ queue, priority }, waitingBy[priority]);
    }
  });
  collect("queue_oldest_seconds", (report) => {
    for (const [queue, { oldestWaitingAtMs: since }] of depths) {
      report({ queue }, since === undefined ? 0 : Math.max(0, Date.now() - since) / 1_000);
    }
  });
  collect("queue_paused", (report) => {
    for (const [queue, { pausedAtMs }] of depths) report({ queue }, pausedAtMs === undefined ? 0 : 1);
  });
  collect("worker_slots_used", (report) => report({}, slots.used));
  collect("worker_slots", (report) => report({}, slots.max));
}

/** Ids that drivers give need no escape; one that was chosen may. */
function quoted(id: string): string {
  return /^[\w:-]*$/.test(id) ? `"${id}"` : JSON.stringify(id);
}

/** The series that was counted in last: of many short jobs, mostly the same. */
let latest: Series | undefined;

function seriesOf(queue: string, job: string): Series {
  if (latest?.job === job && latest.queue === queue) return latest;
  const key = `${queue}\n${job}`;
  latest = byJob.get(key) ?? newSeries(key, queue, job);
  return latest;
}

function newSeries(key: string, queue: string, job: string): Series {
  const made: Series = {
    queue,
    job,
    durations: new Histogram(jobSecondsBuckets),
    waits: new Histogram(jobSecondsBuckets),
    results: new Map(),
    line: `"message":"job","job":${JSON.stringify(job)},"queue":"${queue}","jobId":`,
  };
  byJob.set(key, made);
  return made;
}
