/** The keys of queues on Redis, and what the text of an entry says. What keys hold is said in redis_scripts.ts. */
import type { Priority } from "./priorities.ts";

/** Where jobs of one priority wait and run. */
export interface StreamKeys {
  readonly stream: string;
  readonly started: string;
  /** With an owner and a step behind it. */
  readonly receipt: string;
}

/** The keys of one queue; all in one slot of a cluster. */
export interface QueueKeys {
  readonly streams: { readonly [P in Priority]: StreamKeys };
  readonly delayed: string;
  readonly delayedJobs: string;
  readonly dead: string;
  readonly deadJobs: string;
  readonly unique: string;
  readonly throttled: string;
  readonly throttledJobs: string;
  readonly sequence: string;
  readonly known: string;
  readonly ticks: string;
  readonly moved: string;
  readonly done: string;
  readonly doneJobs: string;
  readonly progress: string;
  readonly cancel: string;
  readonly control: string;
  readonly counts: string;
  readonly gated: string;
  readonly places: string;
  readonly windows: string;
  readonly parked: string;
  readonly parkedJobs: string;
}

export function keysOf(namespace: string, queue: string): QueueKeys {
  const tag = `{${namespace}:q:${queue}}`;
  return {
    streams: {
      high: { stream: `${tag}:stream-high`, started: `${tag}:started-high`, receipt: `${tag}:receipt-high` },
      normal: { stream: `${tag}:stream`, started: `${tag}:started`, receipt: `${tag}:receipt` },
      low: { stream: `${tag}:stream-low`, started: `${tag}:started-low`, receipt: `${tag}:receipt-low` },
    },
    delayed: `${tag}:delayed`,
    delayedJobs: `${tag}:delayed:jobs`,
    dead: `${tag}:dead`,
    deadJobs: `${tag}:dead:jobs`,
    unique: `${tag}:unique`,
    throttled: `${tag}:throttled`,
    throttledJobs: `${tag}:throttled:jobs`,
    sequence: `${tag}:sequence`,
    known: `${tag}:known`,
    ticks: `${tag}:ticks`,
    moved: `${tag}:moved`,
    done: `${tag}:done`,
    doneJobs: `${tag}:done:jobs`,
    progress: `${tag}:progress`,
    cancel: `${tag}:cancel`,
    control: `${tag}:control`,
    counts: `${tag}:counts`,
    gated: `${tag}:gated`,
    places: `${tag}:places`,
    windows: `${tag}:windows`,
    parked: `${tag}:parked`,
    parkedJobs: `${tag}:parked:jobs`,
  };
}

/** Set of the names of all queues of a namespace. */
export function queuesKey(namespace: string): string {
  return `{${namespace}:q}:queues`;
}

/** What scripts that look through the streams, or add to them, have as their last keys: see `streams` in redis_lease_scripts.ts. */
export function streamKeys({ streams: { high, normal, low }, moved }: QueueKeys): readonly string[] {
  return [normal.stream, normal.started, high.stream, high.started, low.stream, low.started, moved];
}

/** Streams number their entries each for itself: behind the number, an entry says which it is in. */
const suffixes: { readonly [P in Priority]: string } = { high: "h", normal: "", low: "l" };

export function suffixOf(priority: Priority): string {
  return suffixes[priority];
}

export function priorityOf(entry: string): Priority {
  if (entry.endsWith("h")) return "high";
  return entry.endsWith("l") ? "low" : "normal";
}

/** As its stream knows it. */
export function numberOfEntry(entry: string): string {
  return entry.endsWith("h") || entry.endsWith("l") ? entry.slice(0, -1) : entry;
}
