/**
 * What an application may ask about a job it enqueued, and do to it: `Job.status` and `Job.cancel`. An id of another kind of job is
 * none here: what a route answers by id must not become a way to read other jobs.
 *
 * A job that committed with a transaction is in the outbox until a relay moves it. So the queue is asked, then the outbox, then the
 * queue again: the job may have been moved between the two.
 */
import type { JobStatus } from "scale";

import { type Cancelled, detailsOf, type JobDetails, queueOfId } from "../store/queue/inspect.ts";
import { jobInOutbox, takeBack } from "./outbox.ts";
import { queueStore } from "./runtime.ts";

export async function jobStatus(name: string, id: string): Promise<JobStatus | null> {
  const asked = `status of job "${name}"`;
  const found = await inQueue(name, id, asked);
  if (found !== undefined) return statusOf(id, found);
  const waiting = await inOutbox(name, id);
  if (waiting !== undefined) return { id, state: waiting, attempts: 0 };
  const moved = await inQueue(name, id, asked);
  return moved === undefined ? null : statusOf(id, moved);
}

export async function cancelJob(name: string, id: string): Promise<Cancelled> {
  const asked = `cancel of job "${name}"`;
  if ((await inOutbox(name, id)) !== undefined && (await takeBack(...partsOf(id)))) return "cancelled";
  if ((await inQueue(name, id, asked)) === undefined) return "unknown";
  return queueStore(asked).inspector.cancel(id);
}

function statusOf(id: string, { state, attempts, progress, result, reason }: JobDetails): JobStatus {
  return {
    id,
    state,
    attempts,
    ...(progress === undefined ? {} : { progress: JSON.parse(progress) as unknown }),
    ...(result === undefined ? {} : { result: JSON.parse(result) as unknown }),
    ...(reason === undefined ? {} : { reason }),
  };
}

async function inQueue(name: string, id: string, asked: string): Promise<JobDetails | undefined> {
  const stored = await queueStore(asked).inspector.find(id);
  const details = stored && detailsOf(stored);
  return details?.name === name ? details : undefined;
}

async function inOutbox(name: string, id: string): Promise<"scheduled" | "available" | undefined> {
  const waiting = await jobInOutbox(...partsOf(id));
  if (waiting?.name !== name) return undefined;
  return (waiting.delayMs ?? 0) > 0 ? "scheduled" : "available";
}

/** QUEUE:ID */
function partsOf(id: string): readonly [queue: string, id: string] {
  const queue = queueOfId(id) ?? "";
  return [queue, id.slice(queue.length + 1)];
}
