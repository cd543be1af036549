/**
 * The page of a worker's admin listener on which an operator sees queues and jobs and steers them, and the small interface behind it.
 * The page itself is page/; who may ask is ops/admin.ts, what a job looks like store/queue/shown.ts.
 */
import type { AdminPages } from "../src/ops/admin.ts";
import { assetRoutes } from "../src/ops/html_import.ts";
import { explain, messageOf, ScaleError } from "../src/std/errors.ts";
import { redactUrls } from "../src/std/redact.ts";
import { detailsOf, type Inspector, queueOfId } from "../src/store/queue/inspect.ts";
import { search } from "../src/store/queue/search.ts";
import { shownDetails, shownQueue, shownSummary } from "../src/store/queue/shown.ts";
import { type JobState, jobStates } from "../src/store/queue/states.ts";
import page from "./page/index.html";

/** What the page shows of the worker that serves it. */
export interface WorkerFacts {
  readonly instance: string;
  readonly version: string;
  readonly queues: readonly string[];
  readonly slots: { readonly used: number; readonly max: number };
}

const listMax = 50;
const queuesMax = 100;
const idsMax = 500;
const headers = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  // Another site's frame around it would be a way to click.
  "content-security-policy": "frame-ancestors 'none'",
};

/** Path and method → answer. */
export async function jobsPages(inspector: Inspector, facts: WorkerFacts): Promise<AdminPages> {
  const answering =
    (answer: (request: Request) => Promise<unknown>) =>
    async (request: Request): Promise<Response> => {
      try {
        return Response.json(await answer(request), { headers });
      } catch (error) {
        return refused(error);
      }
    };
  return {
    ...framed(await assetRoutes("/jobs", page)),
    "/jobs/queues": { GET: answering(() => overview(inspector, facts)) },
    "/jobs/list": { GET: answering((request) => list(inspector, facts, new URL(request.url).searchParams)) },
    "/jobs/job": { GET: answering((request) => job(inspector, new URL(request.url).searchParams)) },
    "/jobs/steer": { POST: answering(async (request) => steer(inspector, await orderOf(request))) },
  };
}

/** The page's files with the headers above, except that those may be kept. */
function framed(assets: AdminPages): AdminPages {
  const { "cache-control": _, ...always } = headers;
  const wrap = (get: NonNullable<AdminPages[string]["GET"]>) => async (request: Request) => {
    const response = await get(request);
    for (const [name, value] of Object.entries(always)) response.headers.set(name, value);
    return response;
  };
  return Object.fromEntries(Object.entries(assets).map(([path, { GET }]) => [path, { GET: wrap(GET!) }]));
}

async function overview(inspector: Inspector, { instance, version, slots, queues }: WorkerFacts) {
  const names = await queuesOf(inspector, queues);
  const shown = names.slice(0, queuesMax).map(async (name) => shownQueue(name, await inspector.overview(name)));
  return {
    worker: { instance, version, slotsUsed: slots.used, slotsMax: slots.max },
    queues: await Promise.all(shown),
    now: new Date().toISOString(),
  };
}

async function queuesOf(inspector: Inspector, own: readonly string[]): Promise<readonly string[]> {
  return [...new Set([...own, ...(await inspector.queues())])].toSorted();
}

async function list(inspector: Inspector, facts: WorkerFacts, asked: URLSearchParams) {
  const state = asked.get("state") ?? "";
  const queue = asked.get("queue") ?? "";
  const filter = {
    states: jobStates.filter((known: JobState) => known === state),
    name: asked.get("job") || undefined,
    idPrefix: asked.get("id") || undefined,
  };
  const queues = queue === "" ? await queuesOf(inspector, facts.queues) : [queue];
  const { jobs, next } = await search(inspector, queues, filter, listMax, asked.get("cursor") || undefined);
  return { jobs: jobs.map(shownSummary), next };
}

async function job(inspector: Inspector, asked: URLSearchParams) {
  const id = asked.get("id") ?? "";
  const found = await inspector.find(id);
  if (found === undefined) throw new ScaleError("not_found", `There is no job ${id} any more.`);
  return shownDetails(detailsOf(found));
}

const orders = ["retry", "discard", "cancel", "pause", "resume"] as const;

interface Order {
  readonly order: (typeof orders)[number];
  readonly queue: string;
  readonly ids: readonly string[];
}

/** What the page sends is checked here: { order, queue, ids }. JSON, which no form of another site can send. */
async function orderOf(request: Request): Promise<Order> {
  const malformed = (expected: string) =>
    new ScaleError("request_malformed", `The order is malformed, expected ${expected}.`);
  if (request.headers.get("content-type") !== "application/json") throw malformed("content-type: application/json");
  const body: unknown = await request.json().catch(() => undefined);
  const { order, queue, ids = [] } = (body ?? {}) as { [field in keyof Order]?: unknown };
  const known = orders.find((one) => one === order);
  if (known === undefined) throw malformed(`order: ${orders.join(", ")}`);
  if (typeof queue !== "string" || queueOfId(`${queue}:1`) !== queue) throw malformed("the queue's name");
  if (!Array.isArray(ids) || ids.length > idsMax) throw malformed(`at most ${idsMax} ids`);
  const own = ids.every((id): id is string => typeof id === "string" && queueOfId(id) === queue);
  if (!own) throw malformed("ids of that queue");
  return { order: known, queue, ids };
}

async function steer(
  inspector: Inspector,
  { order, queue, ids }: Order,
): Promise<{ readonly outcomes: readonly string[] }> {
  switch (order) {
    case "retry":
      return { outcomes: await inspector.retry(queue, ids) };
    case "discard":
      return { outcomes: (await inspector.discard(queue, ids)).map((gone) => (gone ? "discarded" : "unknown")) };
    case "cancel":
      return { outcomes: await Promise.all(ids.map((id) => inspector.cancel(id))) };
    case "pause":
      await inspector.pause(queue);
      return { outcomes: [] };
    case "resume":
      await inspector.resume(queue);
      return { outcomes: [] };
  }
}

/** The operator reads it, so it says everything but secrets. */
function refused(error: unknown): Response {
  const status = error instanceof ScaleError ? error.status : error instanceof RangeError ? 400 : 500;
  const message = redactUrls(error instanceof ScaleError ? explain(error) : messageOf(error));
  return Response.json({ error: { message } }, { status, headers });
}
