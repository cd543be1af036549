/** What the page asks its worker. The answers' forms are those that store/queue/shown.ts makes. */
import type { shownDetails, ShownJob, shownQueue } from "../../src/store/queue/shown.ts";

export type Queue = ReturnType<typeof shownQueue>;
export type Details = ReturnType<typeof shownDetails>;
export type Job = ShownJob;

export interface Overview {
  readonly worker: {
    readonly instance: string;
    readonly version: string;
    readonly slotsUsed: number;
    readonly slotsMax: number;
  };
  readonly queues: readonly Queue[];
  readonly now: string;
}

export interface Listed {
  readonly jobs: readonly Job[];
  readonly next?: string;
}

export type Order = "retry" | "discard" | "cancel" | "pause" | "resume";

const patienceMilliseconds = 5_000;

export function overview(): Promise<Overview> {
  return ask("/jobs/queues");
}

export function list(filter: URLSearchParams): Promise<Listed> {
  return ask(`/jobs/list?${filter}`);
}

export function details(id: string): Promise<Details> {
  return ask(`/jobs/job?${new URLSearchParams({ id })}`);
}

/** What became of each job, in the order of the ids. */
export async function steer(order: Order, queue: string, ids: readonly string[]): Promise<readonly string[]> {
  const body = JSON.stringify({ order, queue, ids });
  const headers = { "content-type": "application/json" };
  return (await ask<{ outcomes: readonly string[] }>("/jobs/steer", { method: "POST", headers, body })).outcomes;
}

/** Throws an Error with what the worker says. */
async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(path, { ...init, signal: AbortSignal.timeout(patienceMilliseconds) });
  if (response.ok) return (await response.json()) as T;
  const text = await response.text();
  throw new Error(messageIn(text));
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return text.trim();
  }
}
