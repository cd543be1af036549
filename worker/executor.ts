/**
 * Runs one attempt: the user's function in the job's ambient context, under a deadline. It says how the attempt ended and records
 * nothing: what follows from that is retry.ts, when it runs is consumer.ts.
 */
import type { Attempt } from "scale";

import { log } from "../src/ops/log.ts";
import { type JobContext, runIn } from "../src/runtime/context.ts";
import { progressText, resultText } from "../src/runtime/job_values.ts";
import { type JobDefinition, payloadOf } from "../src/runtime/jobs.ts";
import { Discard, RetryAfter, Snooze } from "../src/runtime/verbs.ts";
import { messageOf } from "../src/std/errors.ts";
import { redactUrls } from "../src/std/redact.ts";
import { traceOf } from "../src/std/traceparent.ts";
import { formatDuration } from "../src/std/units.ts";
import type { Lease } from "../src/store/queue/queue.ts";
import type { Ending } from "./retry.ts";

/** Why a handler's signal was aborted: its lease went to another worker, this worker is stopping, it was cancelled, or its time is up. */
export type StopReason = "lost" | "stopping" | "cancelled";

/** Time a handler has to act on its deadline, before its slot is used without it. */
export const ignoredDeadlineMs = 10_000;

/**
 * Never rejects. `stop` is the handler's signal; aborted from outside it carries a StopReason. `note` is given what the handler says of
 * how far it is, as JSON text.
 */
export function execute(
  definition: JobDefinition,
  lease: Lease,
  attempt: number,
  stop: AbortController,
  note: (value: string) => unknown,
): Promise<Ending> {
  const { signal } = stop;
  const { id } = lease;
  const trace = traceOf(lease.trace);
  const jobLog = log.child({ job: lease.name, jobId: id, attempt, trace: trace.id });
  const context: JobContext = { kind: "job", id, attempt, signal, log: jobLog, trace };
  const progress = (value: unknown) => note(progressText(lease.name, value));
  const given: Attempt = { id, attempt, signal, log: jobLog, trace: trace.traceparent, progress };
  return new Promise((resolve) => {
    let patience: ReturnType<typeof setTimeout> | undefined;
    const deadline = setTimeout(() => {
      const late = `it ran longer than its timeout of ${formatDuration(definition.timeoutMs)}`;
      stop.abort(new DOMException(late, "TimeoutError"));
      patience = setTimeout(() => {
        context.log.warn({}, "the handler ignores its signal and goes on after its timeout");
        resolve({ kind: "failed", reason: late });
      }, ignoredDeadlineMs);
    }, definition.timeoutMs);
    const end = (ending: Ending) => {
      clearTimeout(deadline);
      clearTimeout(patience);
      resolve(ending);
    };
    runIn(context, async () => definition.handler(await payloadOf(definition, lease.payload), given)).then(
      (value: unknown) => end({ kind: "returned", result: resultText(lease.name, value) }),
      (error: unknown) => end(endingOf(error, signal)),
    );
  });
}

/** What a verb says goes, also when the handler says it because it was told to stop. */
function verbOf(error: unknown): Ending | undefined {
  if (error instanceof Discard) return { kind: "discarded", reason: redactUrls(error.message) };
  if (error instanceof Snooze) return { kind: "snoozed", reason: redactUrls(error.message), delayMs: error.delayMs };
  if (error instanceof RetryAfter) return { kind: "failed", reason: redactUrls(error.message), delayMs: error.delayMs };
  return undefined;
}

/** The reason goes into logs and dead letters: without passwords. A handler that threw because it was told to stop has not failed; one that threw because its time was up has. */
function endingOf(error: unknown, signal: AbortSignal): Ending {
  const reason: unknown = signal.reason;
  if (reason === "cancelled") return { kind: "cancelled" };
  const verb = verbOf(error);
  if (verb) return verb;
  if (reason === "lost" || reason === "stopping") return { kind: "stopped" };
  return { kind: "failed", reason: redactUrls(messageOf(signal.aborted ? reason : error)) };
}
