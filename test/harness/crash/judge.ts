// What must hold of a crash run, as complaints: none means that it held. Pure.

import type { CrashReport, Execution, Kill } from "../crash.ts";

const shownMax = 5;

export function judge(report: CrashReport, appendOnly: boolean): readonly string[] {
  return [...lost(report, appendOnly), ...completedTwice(report), ...unexplained(report), ...unfinished(report)];
}

/** Every acknowledged job has had its effect. A Redis without its file takes along what it holds, and only what was there by then. */
function lost({ acknowledged, effects, kills }: CrashReport, appendOnly: boolean): string[] {
  const forgotten = appendOnly ? 0 : Math.max(0, ...kills.filter(({ what }) => what === "redis").map(({ at }) => at));
  const missing = [...acknowledged].filter((id) => !effects.has(id) && enqueuedAt(id) > forgotten);
  return missing.length === 0 ? [] : [`${missing.length} acknowledged jobs were lost: ${shown(missing)}`];
}

function completedTwice({ completions }: CrashReport): string[] {
  const twice = [...completions].filter(([, times]) => times > 1).map(([id]) => id);
  return twice.length === 0 ? [] : [`${twice.length} jobs were completed twice: ${shown(twice)}`];
}

/** A job that ran again did so because the worker before was killed, or because Redis was away and its outcome or its lease got lost. */
function unexplained({ executions, kills }: CrashReport): string[] {
  const byJob = Map.groupBy(executions, ({ job }) => job);
  const odd = [...byJob].filter(([, runs]) =>
    runs.some((run, index) => index > 0 && !explains(kills, runs[index - 1]!, run)),
  );
  return odd.length === 0 ? [] : [`${odd.length} jobs ran again without a crash: ${shown(odd.map(([id]) => id))}`];
}

function explains(kills: readonly Kill[], before: Execution, again: Execution): boolean {
  return kills.some(
    ({ what, pid, at }) =>
      (what === "worker" && pid === before.pid && at >= before.beganAt - statementSlackMs && at <= again.beganAt) ||
      (what === "redis" && at >= before.beganAt && at <= again.beganAt + redisSlackMs),
  );
}

/** An execution is dated by PostgreSQL, which may do what a process asked for when that is dead already. */
const statementSlackMs = 500;
/** A kill of Redis is dated when it was back, and a lease that could not be renewed meanwhile runs out a little later. */
const redisSlackMs = 2_000;

function unfinished({ left }: CrashReport): string[] {
  return left.dead === 0 ? [] : [`${left.dead} jobs are dead letters`];
}

/** An id begins with the server's clock when it was enqueued. */
function enqueuedAt(id: string): number {
  return Number.parseInt(id.slice(id.indexOf(":") + 1), 10);
}

function shown(ids: readonly string[]): string {
  return ids.slice(0, shownMax).join(", ");
}
