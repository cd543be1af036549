/**
 * What an application may ask about a job it enqueued, and do to it: `Job.status` and `Job.cancel`. An id of another kind of job is
 * none here: what a route answers by id must not become a way to read other jobs.
 */
import type { JobStatus } from "scale";

import { type Cancelled, detailsOf, type JobDetails } from "../store/queue/inspect.ts";
import { queueStore } from "./runtime.ts";

export async function jobStatus(name: string, id: string): Promise<JobStatus | null> {
  const found = await ownJob(name, id, `status of job "${name}"`);
  if (found === undefined) return null;
  const { state, attempts, progress, result, reason } = found;
  return {
    id,
    state,
    attempts,
    ...(progress === undefined ? {} : { progress: JSON.parse(progress) as unknown }),
    ...(result === undefined ? {} : { result: JSON.parse(result) as unknown }),
    ...(reason === undefined ? {} : { reason }),
  };
}

export async function cancelJob(name: string, id: string): Promise<Cancelled> {
  const asked = `cancel of job "${name}"`;
  if ((await ownJob(name, id, asked)) === undefined) return "unknown";
  return queueStore(asked).inspector.cancel(id);
}

async function ownJob(name: string, id: string, asked: string): Promise<JobDetails | undefined> {
  const stored = await queueStore(asked).inspector.find(id);
  const details = stored && detailsOf(stored);
  return details?.name === name ? details : undefined;
}
