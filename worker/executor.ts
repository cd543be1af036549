/**
 * Runs one attempt: the user's function in the job's ambient context, under a deadline. It says how the attempt ended and records
 * nothing: what follows from that is retry.ts, when it runs is consumer.ts.
 */
import type { Attempt } from "scale";

import { type Log, log } from "../src/ops/log.ts";
import { type JobContext, runIn } from "../src/runtime/context.ts";
import { progressText, resultText } from "../src/runtime/job_values.ts";
import { type JobDefinition, payloadOf } from "../src/runtime/jobs.ts";
import { Discard, RetryAfter, Snooze } from "../src/runtime/verbs.ts";
import { messageOf, ScaleError } from "../src/std/errors.ts";
import { redactUrls } from "../src/std/redact.ts";
import { type Trace, traceOf } from "../src/std/traceparent.ts";
import { formatDuration } from "../src/std/units.ts";
import type { Lease } from "../src/store/queue/queue.ts";
import { clearDeadline, setDeadline } from "./deadlines.ts";
import type { Ending } from "./retry.ts";
import type { Stop } from "./stop.ts";

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
  stop: Stop,
  note: (value: string) => unknown,
): Promise<Ending> {
  const { timeoutMs } = definition;
  const context = new Surroundings(lease, attempt, stop);
  const given = new Given(context, (value) => note(progressText(lease.name, value)));
  return new Promise((resolve) => {
    let patience: ReturnType<typeof setTimeout> | undefined;
    const deadline = setDeadline(timeoutMs, () => {
      const late = `it ran longer than its timeout of ${formatDuration(timeoutMs)}`;
      stop.abort(new DOMException(late, "TimeoutError"));
      patience = setTimeout(() => {
        context.log.warn({}, "the handler ignores its signal and goes on after its timeout");
        resolve({ kind: "failed", reason: late });
      }, ignoredDeadlineMs);
    });
    const end = (ending: Ending) => {
      clearDeadline(timeoutMs, deadline);
      clearTimeout(patience);
      resolve(ending);
    };
    runIn(context, async () => definition.handler(await payloadOf(definition, lease.payload), given)).then(
      (value: unknown) => end({ kind: "returned", result: resultText(lease.name, value) }),
      (error: unknown) => end(endingOf(error, stop.reason)),
    );
  });
}

/** What the handler finds around it. What costs something is made when it is asked for: most handlers look at little of it. */
class Surroundings implements JobContext {
  readonly kind = "job";
  readonly id: string;
  readonly attempt: number;
  readonly #lease: Lease;
  readonly #stop: Stop;
  #trace: Trace | undefined;
  #log: Log | undefined;

  constructor(lease: Lease, attempt: number, stop: Stop) {
    this.id = lease.id;
    this.attempt = attempt;
    this.#lease = lease;
    this.#stop = stop;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get left(): ScaleError | undefined {
    const { reason } = this.#stop;
    return reason === undefined
      ? undefined
      : new ScaleError("job_stopped", `the job was told to stop: ${messageOf(reason)}`);
  }

  get isOver(): boolean {
    return this.#stop.reason !== undefined;
  }

  get trace(): Trace {
    return (this.#trace ??= traceOf(this.#lease.trace));
  }

  get log(): Log {
    const { id: jobId, attempt, trace } = this;
    return (this.#log ??= log.child({ job: this.#lease.name, jobId, attempt, trace: trace.id }));
  }
}

/** What the handler is given, the same seen from outside. */
class Given implements Attempt {
  readonly id: string;
  readonly attempt: number;
  readonly progress: (value: unknown) => void;
  readonly #context: JobContext;

  constructor(context: JobContext, progress: (value: unknown) => void) {
    this.id = context.id;
    this.attempt = context.attempt;
    this.progress = progress;
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  get trace(): string {
    return this.#context.trace.traceparent;
  }

  get log(): Log {
    return this.#context.log;
  }
}

/** What a verb says goes, also when the handler says it because it was told to stop. */
function verbOf(error: unknown): Ending | undefined {
  if (error instanceof Discard) return { kind: "discarded", reason: redactUrls(error.message) };
  if (error instanceof Snooze) return { kind: "snoozed", reason: redactUrls(error.message), delayMs: error.delayMs };
  if (error instanceof RetryAfter) return { kind: "failed", reason: redactUrls(error.message), delayMs: error.delayMs };
  return undefined;
}

/** The reason goes into logs and dead letters: without passwords. A handler that threw because it was told to stop has not failed; one that threw because its time was up has. */
function endingOf(error: unknown, stopReason: unknown): Ending {
  if (stopReason === "cancelled") return { kind: "cancelled" };
  const verb = verbOf(error);
  if (verb) return verb;
  if (stopReason === "lost" || stopReason === "stopping") return { kind: "stopped" };
  return { kind: "failed", reason: redactUrls(messageOf(stopReason ?? error)), error };
}
