/**
 * Looking for jobs by state, name, id or age: a walk over pages with a filter. Bounded: after `scannedMax` jobs it answers with what it
 * found and where to go on. What a page costs is inspect.ts's.
 */
import {
  type Inspector,
  type JobSummary,
  notACursor,
  type Place,
  places,
  placesOf,
  type StoredJob,
  summaryOf,
} from "./inspect.ts";
import type { JobState } from "./states.ts";

export interface Filter {
  /** Any of them; empty: all. */
  readonly states: readonly JobState[];
  readonly name?: string | undefined;
  readonly idPrefix?: string | undefined;
  /** At least so long in its state; of one that is due later, so long overdue. */
  readonly olderThanMs?: number | undefined;
}

export interface Found {
  readonly jobs: readonly JobSummary[];
  /** Where the next search begins; absent: everything was looked at. */
  readonly next: string | undefined;
  readonly scanned: number;
}

/** Jobs looked at in one search. */
export const scannedMax = 20_000;
const pageJobsMax = 200;

/** Up to `max` jobs of these queues that pass the filter. Throws RangeError for a cursor that no search gave. */
export async function search(
  inspector: Inspector,
  queues: readonly string[],
  filter: Filter,
  max: number,
  cursor?: string,
): Promise<Found> {
  const start = cursor === undefined ? undefined : readCursor(cursor);
  const jobs: JobSummary[] = [];
  let scanned = 0;
  const stretches = queues.flatMap((queue) => placesIn(filter).map((place) => ({ queue, place })));
  const first = start ? stretches.findIndex((one) => one.queue === start.queue && one.place === start.place) : 0;
  if (first < 0) throw new RangeError("the cursor is of another search");
  for (const [index, { queue, place }] of stretches.slice(first).entries()) {
    let from = index === 0 ? start?.from : undefined;
    do {
      const page = await inspector.page(queue, place, from, pageJobsMax);
      for (const stored of page.jobs) {
        scanned++;
        const job = summaryOf(stored);
        if (matches(filter, job)) jobs.push(job);
        if (jobs.length >= max || scanned >= scannedMax) return { jobs, next: cursorAt(inspector, stored), scanned };
      }
      from = page.next;
    } while (from !== undefined);
  }
  return { jobs, next: undefined, scanned };
}

export function matches({ states, name, idPrefix, olderThanMs }: Filter, job: JobSummary, now = Date.now()): boolean {
  return (
    (states.length === 0 || states.includes(job.state)) &&
    (name === undefined || job.name === name) &&
    (idPrefix === undefined || job.id.startsWith(idPrefix) || job.id.startsWith(`${job.queue}:${idPrefix}`)) &&
    (olderThanMs === undefined || now - job.atMs >= olderThanMs)
  );
}

function placesIn({ states }: Filter): readonly Place[] {
  return states.length === 0
    ? places
    : places.filter((place) => states.some((state) => placesOf[state].includes(place)));
}

function cursorAt(inspector: Inspector, job: StoredJob): string {
  return `${job.queue}/${job.place}/${inspector.cursorAfter(job)}`;
}

function readCursor(cursor: string): { readonly queue: string; readonly place: Place; readonly from: string } {
  const [, queue, place, from] = /^([a-z0-9_-]+)\/([a-z]+)\/(.+)$/.exec(cursor) ?? [];
  const known = places.find((one) => one === place);
  if (queue === undefined || from === undefined || known === undefined) throw notACursor(cursor);
  return { queue, place: known, from };
}
