/**
 * The module's `job`: a name, a handler and a policy. Role app enqueues by it, role worker finds the handler behind it. Payloads are
 * validated here, once, on their way in. Running jobs is worker/, storing them store/queue/.
 */
import type { Attempt, Job, JobOptions, Json, StandardSchema } from "scale";

import { collect } from "../ops/metrics.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { parseDuration } from "../std/units.ts";
import type { NewJob } from "../store/queue/queue.ts";
import { currentContext } from "./context.ts";
import { assertJson } from "./json_value.ts";
import { jobPayloadBytesMax, queueStore } from "./runtime.ts";
import { isStandardSchema, validated } from "./standard_schema.ts";

/** What role worker needs to know of a job. Durations in milliseconds. */
export interface JobDefinition {
  readonly name: string;
  readonly queue: string;
  /** Attempts before it goes to the dead letters. */
  readonly attemptsMax: number;
  readonly timeoutMs: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  readonly schema: StandardSchema | undefined;
  readonly handler: (payload: unknown, attempt: Attempt) => unknown;
}

type Options = JobOptions & { readonly schema?: StandardSchema };

export const queueDefault = "default";

const attemptsDefault = 10;
const timeoutDefault = "10m";
const backoffDefault = { base: "15s", max: "1h" } as const;
const nameCharsMax = 128;
const delayMsMax = 365 * 24 * 3_600_000;
/** A timer of more than 2^31 ms fires at once. */
const timeoutMsMax = 7 * 24 * 3_600_000;
const uniqueCharsMax = 512;

const definitions = new WeakMap<object, JobDefinition>();
const enqueued = new Map<string, number>();

collect("jobs_enqueued_total", (report) => {
  for (const [name, count] of enqueued) report({ job: name }, count);
});

/** Defines a job. Throws entry_invalid where name or options are none. */
export function job<Input extends Json, Output>(
  name: string,
  handler: (payload: Output, attempt: Attempt) => unknown,
  options: JobOptions & { readonly schema: StandardSchema<Input, Output> },
): Job<Input>;
export function job<P extends Json>(
  name: string,
  handler: (payload: P, attempt: Attempt) => unknown,
  options?: JobOptions,
): Job<P>;
export function job(
  name: string,
  handler: (payload: never, attempt: Attempt) => unknown,
  options: Options = {},
): Job<Json> {
  const definition = define(name, handler as JobDefinition["handler"], options);
  const made: Job<Json> = {
    name,
    enqueue: async (payload, { delay, at, unique } = {}) => {
      const delayMs = at === undefined ? delayOf(definition, delay) : Math.max(0, timeOf(definition, at) - Date.now());
      await check(definition, payload, "payload");
      const one = { ...newJob(definition, payload, "payload", delayMs), ...uniqueOf(definition, unique) };
      const [id] = await enqueueAll(definition, [one]);
      return { id: id! };
    },
    enqueueMany: async (payloads, { delay } = {}) => {
      const delayMs = delayOf(definition, delay);
      for (const [index, payload] of payloads.entries()) await check(definition, payload, `payloads[${index}]`);
      const jobs = payloads.map((payload, index) => newJob(definition, payload, `payloads[${index}]`, delayMs));
      return (await enqueueAll(definition, jobs)).map((id) => ({ id }));
    },
  };
  definitions.set(made, definition);
  return made;
}

/** The jobs of an application by name. Throws entry_invalid where one is not made by job(), or two share a name. */
export function jobTable(jobs: readonly Job<never>[], source: string): ReadonlyMap<string, JobDefinition> {
  const table = new Map<string, JobDefinition>();
  for (const [index, made] of jobs.entries()) {
    const definition = definitions.get(made);
    if (definition === undefined) {
      throw new ScaleError("entry_invalid", `${source}: jobs[${index}] is not made by job() of "scale"`, {
        hint: 'import { job } from "scale"; const greet = job("greet", async (payload) => { … })',
      });
    }
    if (table.has(definition.name)) {
      throw new ScaleError("entry_invalid", `${source}: two jobs are named "${definition.name}"`, {
        hint: "a queued job finds its handler by name: give each its own",
      });
    }
    table.set(definition.name, definition);
  }
  return table;
}

/** What the handler gets: the payload as the schema makes it. Throws payload_invalid where it does not fit. */
export function payloadOf({ name, schema }: JobDefinition, payload: string): unknown {
  const value: unknown = JSON.parse(payload);
  return schema === undefined ? value : validated(schema, value, `the payload of job "${name}"`);
}

function define(name: string, handler: JobDefinition["handler"], options: Options): JobDefinition {
  const {
    queue = queueDefault,
    attempts = attemptsDefault,
    timeout = timeoutDefault,
    backoff = backoffDefault,
    schema,
  } = options;
  if (name === "" || name.length > nameCharsMax) throw invalid(name, "name", `1–${nameCharsMax} characters`);
  if (typeof handler !== "function") throw invalid(name, "handler", "a function");
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(queue)) {
    throw invalid(name, "queue", "lower-case letters, digits, - and _, at most 63");
  }
  if (!Number.isInteger(attempts) || attempts < 1) throw invalid(name, "attempts", "a whole number of at least 1");
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw invalid(name, "schema", "a Standard Schema, as zod, valibot and arktype make them");
  }
  const timeoutMs = duration(name, "timeout", timeout);
  if (timeoutMs < 1 || timeoutMs > timeoutMsMax) throw invalid(name, "timeout", "1ms–7d");
  return {
    name,
    queue,
    handler,
    schema,
    attemptsMax: attempts,
    timeoutMs,
    backoff: {
      baseMs: duration(name, "backoff.base", backoff.base),
      maxMs: duration(name, "backoff.max", backoff.max),
    },
  };
}

async function check({ name, schema }: JobDefinition, payload: unknown, what: string): Promise<void> {
  if (schema !== undefined) await validated(schema, payload, `the ${what} of job "${name}"`);
}

async function enqueueAll(definition: JobDefinition, jobs: readonly NewJob[]): Promise<readonly string[]> {
  const ids = await queueStore(`enqueue of job "${definition.name}"`).enqueue(definition.queue, jobs);
  enqueued.set(definition.name, (enqueued.get(definition.name) ?? 0) + jobs.length);
  return ids;
}

function newJob(definition: JobDefinition, value: unknown, what: string, delayMs: number): NewJob {
  const path = `the ${what} of job "${definition.name}"`;
  const payload = toJson(value, path);
  const bytes = Buffer.byteLength(payload);
  const bytesMax = jobPayloadBytesMax();
  if (bytes > bytesMax) {
    throw new ScaleError("payload_invalid", `${path} is ${bytes} bytes, expected at most ${bytesMax}`, {
      hint: "store the data in the database and pass its id, or raise --job-payload-bytes-max",
    });
  }
  const trace = currentContext()?.trace.traceparent;
  return { name: definition.name, payload, delayMs, ...(trace === undefined ? {} : { trace }) };
}

/** Unique keys are the job's own: two kinds of job may use the same. */
function uniqueOf(definition: JobDefinition, unique: string | undefined): { readonly unique?: string } {
  if (unique === undefined) return {};
  if (unique.length > uniqueCharsMax) throw invalid(definition.name, "unique", `at most ${uniqueCharsMax} characters`);
  return { unique: `${definition.name}:${unique}` };
}

function toJson(value: unknown, path: string): string {
  try {
    assertJson(value, path);
  } catch (error) {
    throw new ScaleError("payload_invalid", messageOf(error), { cause: error });
  }
  return JSON.stringify(value);
}

function delayOf(definition: JobDefinition, delay: string | number | undefined): number {
  const delayMs = delay === undefined ? 0 : duration(definition.name, "delay", delay);
  return bounded(definition, delayMs);
}

function timeOf(definition: JobDefinition, at: Date): number {
  const time = at.getTime();
  if (Number.isNaN(time)) throw invalid(definition.name, "at", "a valid Date");
  bounded(definition, time - Date.now());
  return time;
}

function bounded(definition: JobDefinition, delayMs: number): number {
  if (delayMs <= delayMsMax) return delayMs;
  throw invalid(definition.name, "delay", "at most 365d");
}

function duration(name: string, what: string, value: string | number): number {
  try {
    return parseDuration(value);
  } catch (error) {
    throw invalid(name, what, messageOf(error).replace(/^expected /, ""));
  }
}

function invalid(name: string, what: string, expected: string): ScaleError {
  return new ScaleError("entry_invalid", `job("${name}"): ${what} is not valid, expected ${expected}`);
}
