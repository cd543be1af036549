/** The verbs of `scale jobs` that look: ls, show, stats. They change nothing. */
import { ScaleError } from "../../std/errors.ts";
import { visible } from "../../std/visible.ts";
import { detailsOf, type JobSummary } from "../../store/queue/inspect.ts";
import { scannedMax, search } from "../../store/queue/search.ts";
import { shownDetails, shownQueue, shownSummary } from "../../store/queue/shown.ts";
import { filterOf, idsOf, needsOperands, queuesOf, type Request, takesNoOperands } from "./request.ts";
import { relative, table } from "./table.ts";

export async function list(request: Request): Promise<number> {
  takesNoOperands(request, "ls");
  const { config, inspector } = request;
  const { jobs, next, scanned } = await searched(
    search(inspector, await queuesOf(request), filterOf(request), config.limit, config.cursor),
  );
  if (config.json) return printJson({ jobs: jobs.map(shownSummary), next });
  if (jobs.length > 0) print(table(["ID", "STATE", "JOB", "ATTEMPTS", "SINCE", "REASON"], jobs.map(row)));
  else print("no jobs\n");
  if (next === undefined) return 0;
  const reason = scanned >= scannedMax ? `${scannedMax} jobs were looked at, there are more` : "there are more";
  return print(`${reason}: --cursor=${next}\n`);
}

/** A cursor comes from the command line. */
export async function searched<T>(found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ScaleError("usage", error.message, {
      cause: error,
      hint: "use what the list before ended with, with the same filters",
    });
  }
}

function row(job: JobSummary): readonly string[] {
  const { id, state, job: name, attempts, waitsFor, reason = "" } = shownSummary(job);
  const why = waitsFor === undefined ? reason : `waits for a place at ${waitsFor}`;
  return [id, state, name, String(attempts), relative(job.atMs), why];
}

export async function show(request: Request): Promise<number> {
  needsOperands(request, "show", "id");
  const jobs = [];
  for (const id of idsOf(request)) {
    const found = await request.inspector.find(id);
    if (found === undefined) throw unknownJob(id);
    jobs.push(shownDetails(detailsOf(found)));
  }
  if (request.config.json) return printJson(jobs.length === 1 ? jobs[0] : jobs);
  return print(jobs.map(sheet).join("\n"));
}

export function unknownJob(id: string): ScaleError {
  return new ScaleError("not_found", `there is no job ${id}`, {
    hint: "jobs that ended are kept for --job-completed-age and --job-dead-age; check --namespace and the address of the queue",
  });
}

function sheet(job: ReturnType<typeof shownDetails>): string {
  const { history, payload, progress, result, ...facts } = job;
  const values = { payload, progress, result };
  const lines = Object.entries(facts).map(([name, value]) => [name, value === undefined ? "" : String(value)]);
  const known = lines
    .filter(([, value]) => value !== "")
    .map(([name = "", value = ""]) => `${name.padEnd(14)}${value}\n`);
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) known.push(`${name.padEnd(14)}${JSON.stringify(value, undefined, 2)}\n`);
  }
  for (const [index, { at, to, attempt, reason, times }] of history.entries()) {
    const often = times === undefined ? "" : ` (${times} times)`;
    known.push(`${(index === 0 ? "history" : "").padEnd(14)}${at}  ${to}, attempt ${attempt}: ${reason}${often}\n`);
  }
  return visible(known.join(""));
}

export async function stats(request: Request): Promise<number> {
  const named = request.operands.length > 0 ? request.operands : request.config.queue;
  const names = await queuesOf(request, named);
  const queues = await Promise.all(names.map(async (name) => shownQueue(name, await request.inspector.overview(name))));
  if (request.config.json) return printJson({ queues });
  if (queues.length === 0) return print("no queue has been used\n");
  return print(table(queueHead, queues.map(queueRow)));
}

const queueHead =
  "QUEUE,WAITING,PARKED,RUNNING,DELAYED,DEAD,KEPT,OLDEST WAITS,COMPLETED,RETRIED,DISCARDED,CANCELLED,".split(",");

function queueRow(one: ReturnType<typeof shownQueue>): readonly string[] {
  const { completed, retried, discarded, cancelled } = one.counts;
  const oldest = one.oldestWaitingAt === undefined ? "" : relative(Date.parse(one.oldestWaitingAt)).replace(" ago", "");
  const paused = one.pausedAt === undefined ? "" : `paused ${relative(Date.parse(one.pausedAt))}`;
  const now = [one.waiting, one.parked, one.running, one.delayed, one.dead, one.done].map(String);
  return [one.queue, ...now, oldest, ...[completed, retried, discarded, cancelled].map(String), paused];
}

export function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

export function printJson(value: unknown): number {
  return print(`${JSON.stringify(value, undefined, 2)}\n`);
}
