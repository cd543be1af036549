/**
 * What a job is defined with: checked here, once, where the application is loaded. From a definition to something an application can
 * enqueue is jobs.ts.
 */
import type { Attempt, JobOptions, StandardSchema } from "scale";

import { priorities, type Priority } from "../store/queue/priorities.ts";
import { invalid, milliseconds } from "./invalid_job.ts";
import { type JobLimits, limitsOf } from "./job_limits.ts";
import { isStandardSchema } from "./standard_schema.ts";

/** What enqueueing and role worker need to know of a job. Durations in milliseconds. */
export interface JobDefinition {
  readonly name: string;
  readonly queue: string;
  /** Attempts before it goes to the dead letters. */
  readonly attemptsMax: number;
  readonly timeoutMs: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  readonly schema: StandardSchema | undefined;
  /** Of its jobs, where they do not say otherwise. */
  readonly priority: Priority;
  readonly limits: JobLimits;
  /** How long it is kept once it completed; undefined: as long as the worker keeps them. */
  readonly keepMs: number | undefined;
  /** Where it waits while its queue is away; undefined: enqueueing fails. */
  readonly fallback: "outbox" | undefined;
  readonly handler: (payload: unknown, attempt: Attempt) => unknown;
}

export type DefinitionOptions = JobOptions & { readonly schema?: StandardSchema };

export const queueDefault = "default";

const attemptsDefault = 10;
const timeoutDefault = "10m";
const backoffDefault = { base: "15s", max: "1h" } as const;
const nameCharsMax = 128;
/** A timer of more than 2^31 ms fires at once. */
const timeoutMsMax = 7 * 24 * 3_600_000;
const keepMsMax = 365 * 86_400_000;

/** Throws entry_invalid where name or options are none. */
export function define(name: string, handler: JobDefinition["handler"], options: DefinitionOptions): JobDefinition {
  const {
    queue = queueDefault,
    attempts = attemptsDefault,
    timeout = timeoutDefault,
    backoff = backoffDefault,
    schema,
    fallback,
    retention,
    priority = "normal",
  } = options;
  if (name === "" || name.length > nameCharsMax) throw invalid(name, "name", `1–${nameCharsMax} characters`, name);
  if (typeof handler !== "function") throw invalid(name, "handler", "a function", handler);
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(queue)) {
    throw invalid(name, "queue", "lower-case letters, digits, - and _, at most 63", queue);
  }
  if (!Number.isInteger(attempts) || attempts < 1)
    throw invalid(name, "attempts", "a whole number of at least 1", attempts);
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw invalid(name, "schema", "a Standard Schema, as zod, valibot and arktype make them", schema);
  }
  if (fallback !== undefined && fallback !== "outbox") throw invalid(name, "fallback", `"outbox"`, fallback);
  const timeoutMs = milliseconds(name, "timeout", timeout);
  if (timeoutMs < 1 || timeoutMs > timeoutMsMax) throw invalid(name, "timeout", "1ms–7d", timeout);
  return {
    name,
    queue,
    handler,
    schema,
    fallback,
    priority: priorityOf(name, priority),
    limits: limitsOf(name, options),
    keepMs: retention === undefined ? undefined : keepMsOf(name, retention),
    attemptsMax: attempts,
    timeoutMs,
    backoff: {
      baseMs: milliseconds(name, "backoff.base", backoff.base),
      maxMs: milliseconds(name, "backoff.max", backoff.max),
    },
  };
}

/** Throws entry_invalid where it is none. */
export function priorityOf(name: string, priority: Priority): Priority {
  if (!priorities.includes(priority))
    throw invalid(name, "priority", priorities.map((one) => `"${one}"`).join(", "), priority);
  return priority;
}

function keepMsOf(name: string, retention: string | number): number {
  const keepMs = milliseconds(name, "retention", retention);
  if (keepMs > keepMsMax) throw invalid(name, "retention", "0–365d", retention);
  return keepMs;
}
