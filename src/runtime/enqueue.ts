/**
 * From a call of enqueue to a job in its queue: checked here, once, on the way in; then given to the queue, or written into the
 * transaction's outbox. What a job is, is jobs.ts; how queues store it, store/queue/.
 */
import type { Duration, Json, Priority, Tx } from "scale";

import { log } from "../ops/log.ts";
import { collect } from "../ops/metrics.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Gate } from "../store/queue/gates.ts";
import type { NewJob } from "../store/queue/queue.ts";
import { currentContext } from "./context.ts";
import { invalid, milliseconds } from "./invalid_job.ts";
import { type JobDefinition, priorityOf } from "./job_definition.ts";
import { gatesOf } from "./job_limits.ts";
import { assertJson } from "./json_value.ts";
import { keepJobs, leaveJobs, rowId } from "./outbox.ts";
import { queueStore, runtimeSettings } from "./runtime.ts";
import { validated } from "./standard_schema.ts";
import { runningTransaction, transactionOf } from "./transaction.ts";

export interface EnqueueOptions {
  readonly delay?: Duration;
  readonly at?: Date;
  readonly unique?: string | { readonly key: string; readonly per: Duration };
  readonly priority?: Priority;
  /** Of one job, or from each payload. */
  readonly key?: string | ((payload: never) => string);
  readonly tx?: Tx;
}

const delayMsMax = 365 * 86_400_000;
const uniqueCharsMax = 512;
const throttleMsMax = 30 * 86_400_000;

const enqueued = new Map<string, number>();
const warnedOutside = new Set<string>();

collect("jobs_enqueued_total", (report) => {
  for (const [name, count] of enqueued) report({ job: name }, count);
});

/** Answers with the id of each once the queue has them, or the transaction will. `whats` name the payloads, for messages. */
export async function enqueueJobs(
  definition: JobDefinition,
  payloads: readonly Json[],
  whats: (index: number) => string,
  options: EnqueueOptions,
): Promise<readonly string[]> {
  const delayMs = delayOf(definition, options);
  if (definition.schema !== undefined) {
    for (const [index, payload] of payloads.entries()) await validated(definition.schema, payload, whats(index));
  }
  const unique = uniqueOf(definition, options.unique);
  const trace = currentContext()?.trace.traceparent;
  const priority = priorityOf(definition.name, options.priority ?? definition.priority);
  const common = { name: definition.name, delayMs, priority, ...unique, ...(trace === undefined ? {} : { trace }) };
  const jobs = payloads.map((value, index) => ({
    ...common,
    ...gatesFor(definition, options.key, value),
    payload: payloadText(definition, value, whats(index)),
  }));
  if (options.tx !== undefined) return inTransaction(definition, jobs, delayMs, options.tx);
  if (runningTransaction() !== undefined) warnOutside(definition.name);
  const ids = await give(definition, jobs, delayMs);
  count(definition, jobs.length);
  return ids;
}

async function inTransaction(
  definition: JobDefinition,
  jobs: readonly NewJob[],
  delayMs: number,
  tx: Tx,
): Promise<readonly string[]> {
  const transaction = transactionOf(tx, `enqueue of job "${definition.name}"`);
  const rows = jobs.map((job) => ({ ...job, id: rowId() }));
  await leaveJobs(transaction, definition.queue, rows, delayMs);
  transaction.afterCommit.push(() => count(definition, jobs.length));
  return rows.map(({ id }) => `${definition.queue}:${id}`);
}

/** To the queue; where that is away and the job may wait in the database, there. */
async function give(definition: JobDefinition, jobs: readonly NewJob[], delayMs: number): Promise<readonly string[]> {
  const { queue } = definition;
  const store = queueStore(`enqueue of job "${definition.name}"`);
  if (definition.fallback === undefined) return store.enqueue(queue, jobs);
  // The same ids both ways: a queue that took them and could not say so takes them once.
  const rows = jobs.map((job) => ({ ...job, id: rowId() }));
  try {
    await store.enqueueOnce(queue, rows);
  } catch (error) {
    if (!(error instanceof ScaleError && error.code === "store_unavailable") || runningTransaction()) throw error;
    log.warn({ job: definition.name }, `job ${definition.name} goes to the outbox: ${messageOf(error)}`);
    await keepJobs(queue, rows, delayMs);
  }
  return rows.map(({ id }) => `${queue}:${id}`);
}

function count({ name }: JobDefinition, jobs: number): void {
  enqueued.set(name, (enqueued.get(name) ?? 0) + jobs);
}

/** Once a job: it is a mistake in the application's text, not in its data. */
function warnOutside(name: string): void {
  if (warnedOutside.has(name)) return;
  warnedOutside.add(name);
  log.warn(
    { job: name },
    `job ${name} is enqueued inside sql.tx without { tx }: it may run before the commit, and also where there is none`,
  );
}

/** As JSON text. */
function payloadText(definition: JobDefinition, value: unknown, what: string): string {
  const payload = toJson(value, what);
  const bytes = Buffer.byteLength(payload);
  const bytesMax = runtimeSettings(`enqueue of job "${definition.name}"`).jobPayloadBytesMax;
  if (bytes > bytesMax) {
    throw new ScaleError("payload_invalid", `${what} is ${bytes} bytes, expected at most ${bytesMax}`, {
      hint: "store the data in the database and pass its id, or raise --job-payload-bytes-max",
    });
  }
  return payload;
}

/** Unique keys are the job's own: two kinds of job may use the same. */
function uniqueOf({ name }: JobDefinition, unique: EnqueueOptions["unique"]): Pick<NewJob, "unique" | "throttleMs"> {
  if (unique === undefined) return {};
  const { key, per = 0 } = typeof unique === "string" ? { key: unique } : unique;
  if (typeof key !== "string" || key.length > uniqueCharsMax) {
    throw invalid(name, "unique", `at most ${uniqueCharsMax} characters`, key);
  }
  const throttleMs = milliseconds(name, "unique.per", per);
  if (throttleMs > throttleMsMax) throw invalid(name, "unique.per", "at most 30d", per);
  return { unique: `${name}:${key}`, ...(throttleMs === 0 ? {} : { throttleMs }) };
}

/** The limits that it passes on its way to a worker. */
function gatesFor(
  { name, limits }: JobDefinition,
  key: EnqueueOptions["key"],
  payload: Json,
): { readonly gates?: readonly Gate[] } {
  const gates = gatesOf(name, limits, typeof key === "function" ? key(payload as never) : key);
  return gates.length === 0 ? {} : { gates };
}

function toJson(value: unknown, what: string): string {
  try {
    assertJson(value, what);
  } catch (error) {
    throw new ScaleError("payload_invalid", messageOf(error), { cause: error });
  }
  return JSON.stringify(value);
}

function delayOf({ name }: JobDefinition, { delay = 0, at }: EnqueueOptions): number {
  if (at !== undefined && Number.isNaN(at.getTime())) throw invalid(name, "at", "a valid Date", at);
  const delayMs = at === undefined ? milliseconds(name, "delay", delay) : Math.max(0, at.getTime() - Date.now());
  if (delayMs > delayMsMax) throw invalid(name, "delay", "at most 365d", at ?? delay);
  return delayMs;
}
