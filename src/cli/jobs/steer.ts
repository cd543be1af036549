/**
 * The verbs of `scale jobs` that change something: retry, redrive, discard, cancel, pause, resume. Each says what became of every job
 * it was given; one that could not be done makes the exit code 1. Many jobs are taken in batches, at most --limit in all.
 */
import { ScaleError } from "../../std/errors.ts";
import { type Cancelled, queueOfId, type Retried } from "../../store/queue/inspect.ts";
import { type Filter, search } from "../../store/queue/search.ts";
import type { JobState } from "../../store/queue/states.ts";
import { print, printJson, searched } from "./look.ts";
import { filterOf, idsOf, isFiltered, needsOperands, queuesOf, type Request, takesNoOperands } from "./request.ts";

type Outcome = Retried | Cancelled | "discarded";
type Outcomes = ReadonlyMap<string, Outcome>;

/** Jobs moved in one step of the store. */
const batchMax = 100;

const said: { readonly [O in Outcome]: string } = {
  retried: "retried",
  underway: "NOT retried: it waits or runs already",
  completed: "NOT retried: it has completed, and its payload is gone",
  duplicate: "NOT retried: another job with its unique key is on its way",
  cancelled: "cancelled",
  cancelling: "its worker is told to stop it",
  ended: "NOT cancelled: it has ended already",
  discarded: "discarded",
  unknown: "NOT FOUND",
};
const done: readonly Outcome[] = ["retried", "cancelled", "cancelling", "discarded"];

export async function retry(request: Request): Promise<number> {
  needsOperands(request, "retry", "id");
  return report(request, await retryAll(request, idsOf(request)));
}

export async function redrive(request: Request): Promise<number> {
  takesNoOperands(request, "redrive");
  return report(request, await retryAll(request, await chosen(request, ["discarded"])));
}

export async function discard(request: Request): Promise<number> {
  const ids = await named(request, "discard", ["discarded"]);
  return report(
    request,
    await inBatches(ids, async (queue, batch) =>
      (await request.inspector.discard(queue, batch)).map((gone) => (gone ? "discarded" : "unknown")),
    ),
  );
}

export async function cancel(request: Request): Promise<number> {
  const ids = await named(request, "cancel", ["available", "scheduled", "retryable", "running"]);
  return report(
    request,
    await inBatches(ids, (_, batch) => Promise.all(batch.map((id) => request.inspector.cancel(id)))),
  );
}

export async function pause(request: Request): Promise<number> {
  needsOperands(request, "pause", "queue");
  const queues = await queuesOf(request, request.operands);
  for (const queue of queues) await request.inspector.pause(queue);
  return reportQueues(request, queues, true, "is paused: no worker starts a job of it, what runs goes on");
}

export async function resume(request: Request): Promise<number> {
  needsOperands(request, "resume", "queue");
  const queues = await queuesOf(request, request.operands);
  for (const queue of queues) await request.inspector.resume(queue);
  return reportQueues(request, queues, false, "goes on");
}

function reportQueues({ config }: Request, queues: readonly string[], paused: boolean, text: string): number {
  if (config.json) return printJson(queues.map((queue) => ({ queue, paused })));
  return print(queues.map((queue) => `queue ${queue} ${text}\n`).join(""));
}

/** The jobs named, or those that pass the filters: without either nothing is done to everything there is. */
async function named(request: Request, verb: string, states: readonly JobState[]): Promise<readonly string[]> {
  if (request.operands.length > 0) return idsOf(request);
  if (isFiltered(request)) return chosen(request, states);
  throw new ScaleError("usage", `scale jobs ${verb} does not say which jobs`, {
    hint: `scale jobs ${verb} ID…, or a filter: scale jobs ${verb} --queue=default --job=NAME`,
  });
}

/** Ids of up to --limit jobs that pass the filters, in one of these states. */
async function chosen(request: Request, states: readonly JobState[]): Promise<readonly string[]> {
  const { config, inspector } = request;
  const asked = filterOf(request);
  const wrong = asked.states.find((state) => !states.includes(state));
  if (wrong !== undefined) {
    throw new ScaleError(
      "usage",
      `--state is "${wrong}", expected ${states.join(", ")}: nothing else can be done to others`,
    );
  }
  const filter: Filter = { ...asked, states: asked.states.length > 0 ? asked.states : states };
  const queues = await queuesOf(request);
  const ids: string[] = [];
  for (let { cursor } = config; ids.length < config.limit;) {
    const found = await searched(search(inspector, queues, filter, config.limit - ids.length, cursor));
    ids.push(...found.jobs.map(({ id }) => id));
    cursor = found.next;
    if (cursor === undefined) break;
  }
  return ids;
}

function retryAll({ inspector }: Request, ids: readonly string[]): Promise<Outcomes> {
  return inBatches(ids, (queue, batch) => inspector.retry(queue, batch));
}

/** Steps for the jobs of one queue each, one after the other. */
async function inBatches(
  ids: readonly string[],
  step: (queue: string, batch: readonly string[]) => Promise<readonly Outcome[]>,
): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome>();
  for (const [queue, own] of Map.groupBy(ids, (id) => queueOfId(id) ?? "")) {
    for (let start = 0; start < own.length; start += batchMax) {
      const batch = own.slice(start, start + batchMax);
      const answers = await step(queue, batch);
      for (const [index, id] of batch.entries()) outcomes.set(id, answers[index] ?? "unknown");
    }
  }
  return outcomes;
}

function report({ config }: Request, outcomes: Outcomes): number {
  const failed = [...outcomes.values()].filter((outcome) => !done.includes(outcome)).length;
  if (config.json) printJson([...outcomes].map(([id, outcome]) => ({ id, outcome })));
  else {
    print([...outcomes].map(([id, outcome]) => `${id}  ${said[outcome]}\n`).join(""));
    const more = outcomes.size >= config.limit ? `, as many as --limit allows: there may be more` : "";
    print(`${outcomes.size - failed} of ${outcomes.size} jobs${more}\n`);
  }
  return failed > 0 ? 1 : 0;
}
