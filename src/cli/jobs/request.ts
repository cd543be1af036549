/** What was asked of `scale jobs`: options and operands as the verbs need them, each checked once. */
import type { Config } from "../../config/options.ts";
import { closest } from "../../std/closest.ts";
import { ScaleError } from "../../std/errors.ts";
import { type Inspector, queueOfId } from "../../store/queue/inspect.ts";
import type { Filter } from "../../store/queue/search.ts";

export interface Request {
  readonly config: Config;
  readonly inspector: Inspector;
  /** What follows the verb. */
  readonly operands: readonly string[];
}

/** Prints its answer and resolves with the exit code. */
export type Verb = (request: Request) => Promise<number>;

export function filterOf({ config }: Request): Filter {
  const { state, job, idPrefix, olderThan } = config;
  return { states: state, name: job, idPrefix, olderThanMs: olderThan };
}

/** Whether any filter was given. */
export function isFiltered({ config }: Request): boolean {
  const { queue, state, job, idPrefix, olderThan } = config;
  return queue.length + state.length > 0 || [job, idPrefix, olderThan].some((filter) => filter !== undefined);
}

/** Those named, each of which must exist, or all. */
export async function queuesOf(
  request: Request,
  named: readonly string[] = request.config.queue,
): Promise<readonly string[]> {
  const known = await request.inspector.queues();
  const unknown = named.find((name) => !known.includes(name));
  if (unknown === undefined) return named.length > 0 ? named : known;
  const meant = closest(unknown, known);
  throw new ScaleError(
    "not_found",
    `no queue is named "${unknown}", expected ${known.join(", ") || "one that was used"}`,
    {
      hint: meant === undefined ? "check --namespace and the address of the queue" : `did you mean ${meant}?`,
    },
  );
}

/** The operands as ids of jobs. */
export function idsOf({ operands }: Request): readonly string[] {
  for (const id of operands) {
    if (queueOfId(id) !== undefined) continue;
    throw new ScaleError("usage", `"${id}" is no job's id, expected QUEUE:ID`, {
      hint: "scale jobs ls lists them; they are in every log line of a job as jobId",
    });
  }
  return operands;
}

export function needsOperands({ operands }: Request, verb: string, what: string): void {
  if (operands.length > 0) return;
  throw new ScaleError("usage", `scale jobs ${verb} does not say which ${what}`, {
    hint: `scale jobs ${verb} ${what.toUpperCase()}…`,
  });
}

export function takesNoOperands({ operands }: Request, verb: string): void {
  if (operands.length === 0) return;
  throw new ScaleError("usage", `"${operands[0]}" is one argument too many: scale jobs ${verb} takes none`, {
    hint: `filters are options: scale jobs ${verb} --queue=default --job=NAME --state=discarded`,
  });
}
