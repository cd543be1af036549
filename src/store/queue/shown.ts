/**
 * A job as people and programs are shown it: times as text, payload, result and progress as values, whatever is secret masked. The
 * same on the command line and on a worker's page. Finding it is inspect.ts.
 */
import { redact, redactUrls } from "../../std/redact.ts";
import { formatDuration } from "../../std/units.ts";
import type { Gate } from "./gates.ts";
import type { JobDetails, JobSummary, QueueOverview } from "./inspect.ts";

export interface ShownJob {
  readonly id: string;
  readonly queue: string;
  readonly job: string;
  readonly state: string;
  readonly attempts: number;
  /** Since when in this state; when it is due; when it ended. */
  readonly at: string;
  readonly enqueuedAt: string | undefined;
  readonly reason: string | undefined;
  /** Absent: normal. */
  readonly priority: string | undefined;
  /** The gate at which it waits for a place. */
  readonly waitsFor: string | undefined;
  readonly payloadBytes: number;
}

export function shownSummary(job: JobSummary): ShownJob {
  const { id, queue, name, state, attempts, atMs, enqueuedAtMs, reason, priority, waitsFor, payloadBytes } = job;
  return {
    id,
    queue,
    job: name,
    state,
    attempts,
    at: timeText(atMs),
    enqueuedAt: enqueuedAtMs === undefined ? undefined : timeText(enqueuedAtMs),
    reason: reason === undefined ? undefined : redactUrls(reason),
    priority: priority === "normal" ? undefined : priority,
    waitsFor,
    payloadBytes,
  };
}

export function shownDetails(job: JobDetails) {
  return {
    ...shownSummary(job),
    unique: job.unique,
    gates: job.gates.length === 0 ? undefined : job.gates.map(gateText).join(", "),
    worker: job.owner,
    cancelling: job.cancelling || undefined,
    durationMs: job.durationMs,
    payload: valueOf(job.payload),
    progress: valueOf(job.progress),
    result: valueOf(job.result),
    history: job.history.map(({ at, reason, ...event }) => ({
      at: timeText(at),
      ...event,
      reason: redactUrls(reason),
    })),
  };
}

export function shownQueue(queue: string, overview: QueueOverview) {
  const { pausedAtMs, oldestWaitingAtMs, ...numbers } = overview;
  return {
    queue,
    ...numbers,
    pausedAt: pausedAtMs === undefined ? undefined : timeText(pausedAtMs),
    oldestWaitingAt: oldestWaitingAtMs === undefined ? undefined : timeText(oldestWaitingAtMs),
  };
}

function gateText({ name, max, per }: Gate): string {
  return `${name} (${max}${per === undefined ? "" : ` in ${formatDuration(per)}`})`;
}

/** Text that is no JSON, as another program may have enqueued it, is shown as it is. */
function valueOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return redact(JSON.parse(text));
  } catch {
    return redactUrls(text);
  }
}

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
