// Whether the limits of the soak's jobs were kept, from what their attempts noted: as complaints, and a line for people.

import type postgres from "postgres";

import { durationOf } from "../../../src/std/units.ts";
import { type Early, mostAtOnce, overtakings, tooEarly } from "../../harness/limits_kept.ts";
import { type Kind, limits, throttledFor } from "./limits.ts";

/** An attempt is on its way to be counted, and a key to be held, when a time is taken; the process may have waited for a core in between. */
const lateMs = 250;

interface Run {
  readonly job: string;
  readonly kind: Kind;
  readonly line: string;
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
}

export interface Kept {
  readonly complaints: readonly string[];
  readonly summary: string;
}

export async function limitsKept(sql: postgres.Sql): Promise<Kept> {
  const runs = await sql<Run[]>`select job, kind, line, began as from, ended as to from run`;
  const of = (kind: Kind) => runs.filter((run) => run.kind === kind);
  const { perJob, perKey } = limits.few.concurrency;
  const most = mostAtOnce(of("few"));
  const mostOfKey = Math.max(0, ...byLine(of("few")).map(mostAtOnce));
  const mostOfLine = Math.max(0, ...byLine(of("in_order")).map(mostAtOnce));
  const early = hurried(of("rated"));
  const overtaken = byLine(of("in_order")).flatMap(outOfOrder);
  const soon = throttledTooSoon(of("throttled"));
  return {
    complaints: [
      ...(most > perJob ? [`${most} ran at a time of a job of which ${perJob} may`] : []),
      ...(mostOfKey > perKey ? [`${mostOfKey} of a key ran at a time, and ${perKey} may`] : []),
      ...(mostOfLine > 1 ? [`${mostOfLine} of a key that has an order ran at a time`] : []),
      ...(overtaken.length > 0 ? [`${overtaken.length} jobs overtook one of their key: ${overtaken[0]}`] : []),
      ...(early.length > 0
        ? [
            `${early.length} attempts began before the rate let them, one by ${Math.max(...early.map(({ by }) => by))} ms`,
          ]
        : []),
      ...soon.map((id) => `${id} was enqueued though its unique key still held`),
    ],
    summary: `${runs.length} attempts of jobs with limits: ${of("in_order").length} in order, ${of("few").length} at most ${most} at a time and ${mostOfKey} of a key, ${of("rated").length} by a rate, ${of("throttled").length} throttled`,
  };
}

function byLine(runs: readonly Run[]): readonly (readonly Run[])[] {
  return [...Map.groupBy(runs, ({ line }) => line).values()];
}

/** Ids of jobs with limits are in the order in which they were enqueued. */
function outOfOrder(line: readonly Run[]): string[] {
  const places = [...Map.groupBy(line, ({ job }) => job)].map(([job, runs]) => {
    const began = runs.map(({ from }) => from);
    return { job, first: Math.min(...began), last: Math.max(...began) };
  });
  return overtakings(places.toSorted((a, b) => (a.job < b.job ? -1 : 1))).map(([before, after]) => {
    return `${after.job} began before ${before.job}`;
  });
}

function hurried(runs: readonly Run[]): readonly Early[] {
  const { max, per } = limits.rated.rateLimit;
  const perMs = durationOf("per", per, 1, 60_000);
  return tooEarly(
    runs.map(({ from }) => from),
    { max, perMs, lateMs },
  );
}

/** An id begins with the store's clock when the job was enqueued. */
function throttledTooSoon(runs: readonly Run[]): string[] {
  const enqueuedAt = ({ job }: Run) => Number.parseInt(job.slice(job.indexOf(":") + 1), 10);
  const perMs = durationOf("per", throttledFor, 1, 60_000);
  const sorted = runs.toSorted((a, b) => enqueuedAt(a) - enqueuedAt(b));
  const since = (run: Run, index: number) => enqueuedAt(run) - enqueuedAt(sorted[index - 1]!);
  const isSoon = (run: Run, index: number) => index > 0 && since(run, index) < perMs - lateMs;
  return sorted.filter(isSoon).map(({ job }) => job);
}
