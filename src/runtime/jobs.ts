/**
 * The module's `job`: a name, a handler and a policy. Role app enqueues by it (enqueue.ts), role worker finds the handler behind it.
 * What it is defined with is job_definition.ts; running jobs is worker/, storing them store/queue/.
 */
import type { Attempt, Job, JobOptions, Json, StandardSchema } from "scale";

import { ScaleError } from "../std/errors.ts";
import { handled } from "../std/handled.ts";
import { enqueueJobs } from "./enqueue.ts";
import { define, type DefinitionOptions, type JobDefinition } from "./job_definition.ts";
import { cancelJob, jobStatus } from "./job_status.ts";
import { validated } from "./standard_schema.ts";

export { type JobDefinition, queueDefault } from "./job_definition.ts";

const definitions = new WeakMap<object, JobDefinition>();

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
  options: DefinitionOptions = {},
): Job<Json> {
  const definition = define(name, handler as JobDefinition["handler"], options);
  const made: Job<Json> = {
    name,
    // Marked as handled: in a transaction that has failed already, nobody waits for it.
    enqueue: (payload, given = {}) =>
      handled(
        enqueueJobs(definition, [payload], () => `the payload of job "${name}"`, given).then(([id]) => ({ id: id! })),
      ),
    enqueueMany: (payloads, given = {}) =>
      handled(
        enqueueJobs(definition, payloads, (index) => `the payloads[${index}] of job "${name}"`, given).then((ids) =>
          ids.map((id) => ({ id })),
        ),
      ),
    status: (id) => jobStatus(name, id),
    cancel: (id) => cancelJob(name, id),
  };
  definitions.set(made, definition);
  return made;
}

/** The definition behind a job. Throws entry_invalid where it is not made by job(); `what` names it. */
export function jobBehind(made: Job<never>, what: string): JobDefinition {
  const definition = definitions.get(made);
  if (definition !== undefined) return definition;
  throw new ScaleError("entry_invalid", `${what} is not made by job() of "scale"`, {
    hint: 'import { job } from "scale"; const greet = job("greet", async (payload) => { … })',
  });
}

/** The jobs of an application by name. Throws entry_invalid where one is not made by job(), or two share a name. */
export function jobTable(jobs: readonly Job<never>[], source: string): ReadonlyMap<string, JobDefinition> {
  const table = new Map<string, JobDefinition>();
  for (const [index, made] of jobs.entries()) {
    const definition = jobBehind(made, `${source}: jobs[${index}]`);
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
