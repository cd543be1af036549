// What must hold of limits through a crash run, as complaints: places kept, order kept, rate kept, and at the end nothing held. Pure.

import { durationOf } from "../../../src/std/units.ts";
import type { CrashReport, Execution, Kill } from "../crash.ts";
import { mostAtOnce, overtakings, type Place, type Span, tooEarly } from "../limits_kept.ts";
import { kinds } from "./kinds.ts";
import { type RedisForm, replicaLagMsMax } from "./redis.ts";

/** Until then after a Redis that forgot, workers may be busy with what it does not know, or has given to others. */
const unsettledMs = 5_000;
/** An attempt is on its way to be counted when it dates itself, and may have waited for a core in between. */
const lateMs = 250;

/** A job of the run, from the begin of its first attempt to its effect. */
interface Ran extends Place {
  readonly kind: Execution["kind"];
  readonly line: string;
  readonly done: number;
}

export function judgeLimits(report: CrashReport, redis: RedisForm): readonly string[] {
  const isExcused = (span: Span) => report.kills.some((kill) => mayForget(kill, span, redis));
  const ran = jobsOf(report);
  return [
    ...overtaken(ran, isExcused),
    ...crowded(ran, isExcused),
    ...hurried(ran, isExcused),
    ...(report.left.gated === 0 ? [] : [`${report.left.gated} places, or who waits for one, are left in the end`]),
  ];
}

/** Of one that comes back with all it said, nothing is excused: a job holds its place whoever died. */
function mayForget({ what, since = 0, at }: Kill, { from, to }: Span, redis: RedisForm): boolean {
  return redis !== "append-only" && what === "redis" && since - replicaLagMsMax <= to && at + unsettledMs >= from;
}

function jobsOf({ executions, effects }: CrashReport): readonly Ran[] {
  return [...Map.groupBy(executions, ({ job }) => job)].map(([job, runs]) => {
    const began = runs.map(({ beganAt }) => beganAt);
    const [first, last] = [Math.min(...began), Math.max(...began)];
    return { job, kind: runs[0]!.kind, line: runs[0]!.line, first, last, done: effects.get(job) ?? last };
  });
}

/** Ids of jobs with limits are in the order in which they were enqueued. */
function overtaken(ran: readonly Ran[], isExcused: (span: Span) => boolean): string[] {
  const lines = Map.groupBy(
    ran.filter(({ kind }) => kind === "in_order"),
    ({ line }) => line,
  );
  const found = [...lines.values()].flatMap((line) => overtakings(line.toSorted((a, b) => (a.job < b.job ? -1 : 1))));
  const odd = found.filter(
    ([before, after]) => !isExcused({ from: Math.min(before.first, after.first), to: before.last }),
  );
  return odd.length === 0
    ? []
    : [`${odd.length} jobs overtook one of their key: ${odd[0]![1].job} began before ${odd[0]![0].job}`];
}

function crowded(ran: readonly Ran[], isExcused: (span: Span) => boolean): string[] {
  const spans = ran.filter(({ kind }) => kind === "in_order").map(({ first, done }) => ({ from: first, to: done }));
  const most = mostAtOnce(spans.filter((span) => !isExcused(span)));
  const { concurrency } = kinds.in_order;
  return most <= concurrency ? [] : [`${most} jobs ran at a time, and ${concurrency} may`];
}

/** Of first attempts: one that is begun again after a crash does not ask. */
function hurried(ran: readonly Ran[], isExcused: (span: Span) => boolean): string[] {
  const { max, per } = kinds.rated.rateLimit;
  const began = ran.filter(({ kind }) => kind === "rated").map(({ first }) => first);
  const early = tooEarly(began, { max, perMs: durationOf("per", per, 1, 60_000), lateMs });
  const odd = early.filter((span) => !isExcused(span));
  return odd.length === 0
    ? []
    : [`${odd.length} jobs began before the rate let them, one by ${Math.max(...odd.map(({ by }) => by))} ms`];
}
