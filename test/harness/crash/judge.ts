// What must hold of a crash run, as complaints: none means that it held. What must hold of limits is judge_limits.ts. Pure.

import type { CrashReport, Execution, Kill } from "../crash.ts";
import { judgeLimits } from "./judge_limits.ts";
import { type RedisForm, replicaLagMsMax } from "./redis.ts";

const shownMax = 5;

export function judge(report: CrashReport, redis: RedisForm): readonly string[] {
  return [
    ...lost(report, redis),
    ...completedTwice(report, redis),
    ...unexplained(report),
    ...unfinished(report),
    ...judgeLimits(report, redis),
  ];
}

/** Every acknowledged job has had its effect, but for those that this form of Redis may lose. */
function lost({ acknowledged, effects, kills }: CrashReport, redis: RedisForm): string[] {
  const failures = kills.filter(({ what }) => what === "redis");
  const missing = [...acknowledged].filter(
    (id) => !effects.has(id) && !failures.some((kill) => mayLose(kill, enqueuedAt(id), redis)),
  );
  return missing.length === 0 ? [] : [`${missing.length} acknowledged jobs were lost: ${shown(missing)}`];
}

function mayLose({ since = 0, at }: Kill, enqueued: number, redis: RedisForm): boolean {
  switch (redis) {
    case "append-only":
    case "sentinel-replicas":
      return false;
    case "forgetful":
      return enqueued <= at;
    case "sentinel-memory":
      return enqueued >= since - replicaLagMsMax && enqueued <= at;
  }
}

/** An outcome that no replica had is lost with its primary, whatever an enqueue waits for: then the job has another one. */
function completedTwice({ completions, executions, kills }: CrashReport, redis: RedisForm): string[] {
  const lostWith = (id: string) =>
    redis.startsWith("sentinel") &&
    kills.some(
      ({ what, since = 0 }) =>
        what === "redis" &&
        isRunAcross(
          since,
          executions.filter(({ job }) => job === id),
        ),
    );
  const twice = [...completions].filter(([id, times]) => times > 1 && !lostWith(id)).map(([id]) => id);
  return twice.length === 0 ? [] : [`${twice.length} jobs were completed twice: ${shown(twice)}`];
}

/** Whether it ran shortly before that moment, and again after it. */
function isRunAcross(moment: number, runs: readonly Execution[]): boolean {
  const before = runs.some(({ beganAt }) => beganAt <= moment && beganAt >= moment - replicaLagMsMax);
  return before && runs.some(({ beganAt }) => beganAt > moment);
}

/** A job that ran again did so because the worker before was killed, or because Redis was away and its outcome or its lease got lost. */
function unexplained({ executions, kills }: CrashReport): string[] {
  const byJob = Map.groupBy(executions, ({ job }) => job);
  const odd = [...byJob].filter(([, runs]) =>
    runs.some((run, index) => index > 0 && !explains(kills, runs[index - 1]!, run)),
  );
  return odd.length === 0 ? [] : [`${odd.length} jobs ran again without a crash: ${shown(odd.map(describe))}`];
}

function explains(kills: readonly Kill[], before: Execution, again: Execution): boolean {
  return kills.some(
    ({ what, pid, at, since = at }) =>
      (what === "worker" && pid === before.pid && at >= before.beganAt - dyingMs && at <= again.beganAt) ||
      (what === "redis" && at >= before.beganAt && since <= again.beganAt + redisSlackMs),
  );
}

function describe([id, runs]: readonly [string, readonly Execution[]]): string {
  const times = runs.map(({ attempt, pid, beganAt }) => `attempt ${attempt} in ${pid} at ${Math.round(beganAt)}`);
  return `${id} (${times.join("; ")})`;
}

/** A process may begin something when it has been sent its signal already. */
const dyingMs = 500;
/** A lease that could not be renewed while Redis was away runs out a little later. */
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
