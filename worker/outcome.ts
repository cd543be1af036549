/** What is said and counted of a delivery when it is over. Deciding what becomes of it is retry.ts, recording that settler.ts. */
import { log } from "../src/ops/log.ts";
import type { Lease } from "../src/store/queue/queue.ts";
import { countProcessed, type Result } from "./job_metrics.ts";
import { attemptOf, type Verdict } from "./retry.ts";

/** Counts it and writes its line. `known`: whether this worker defines the job. `durationMs`: undefined where its handler did not run. */
export function count(lease: Lease, known: boolean, result: Result, durationMs: number | undefined): void {
  const { queue, id, name, trace } = lease;
  const job = known ? name : "unknown";
  // The store's clock and ours: a difference of theirs must not become a negative wait.
  const waitMs = Math.max(0, Date.now() - lease.availableAtMs - (durationMs ?? 0));
  countProcessed({ queue, job, id, attempt: attemptOf(lease), trace, result, waitMs, durationMs });
}

/**
 * Why a job did not complete. An error is what somebody should look at: a job that nobody will try again. `error`: what its handler threw;
 * the line has its stack.
 */
export function explain(lease: Lease, verdict: Extract<Verdict, { readonly reason: string }>, error?: unknown): void {
  const fields = {
    job: lease.name,
    jobId: lease.id,
    attempt: attemptOf(lease),
    reason: verdict.reason,
    ...(error instanceof Error ? { error } : {}),
  };
  if (verdict.to === "discarded") {
    const message = `job ${lease.name} goes to the dead letters: ${verdict.reason}`;
    return verdict.asked ? log.info(fields, message) : log.error(fields, message);
  }
  if (verdict.to === "cancelled") return log.info(fields, `job ${lease.name} is cancelled`);
  const message = `job ${lease.name} is ${verdict.to}: ${verdict.reason}`;
  const level = verdict.asked ? "info" : "warn";
  log[level]({ ...fields, delayMs: verdict.delayMs }, message);
}
