/**
 * How a job is stored: one line of JSON that scale reads, a line feed, and the payload, which scale never parses here.
 *
 *      {"v":1,"name":"send_welcome_email","id":"1700000000000-0","attempts":2}⏎{"email":"ada@example.com"}
 *
 * A job that has ended is kept in the same frame: the header says how, and where it completed, its result stands for the payload.
 *
 * Invariant: two versions of scale share a queue during every deploy, so this frame never changes, a header of a later version is
 * carried along unread, and fields a version does not know survive its hands.
 */
import { type Gate, gatesIn, noGates } from "./gates.ts";
import type { Priority } from "./priorities.ts";
import type { JobState } from "./states.ts";

const version = 1;
const reasonCharsMax = 2_000;
/** The newest are kept; the same several times over is one. */
const eventsMax = 10;
const eventReasonCharsMax = 300;

/** What happened to a job, besides being taken. */
export interface JobEvent {
  /** Milliseconds since the epoch, on the clock of who did it. */
  readonly at: number;
  readonly to: JobState;
  readonly attempt: number;
  readonly reason: string;
  /** How often in a row, where more than once. */
  readonly times?: number;
}

export interface Envelope {
  readonly name: string;
  readonly payload: string;
  /** The job's id without its queue. Absent until it is stored a second time, unless it was chosen: the first entry's own id is the job's. */
  readonly id: string | undefined;
  readonly attempts: number;
  readonly unique: string | undefined;
  readonly trace: string | undefined;
  readonly priority: Priority;
  readonly gates: readonly Gate[];
  readonly reason: string | undefined;
  /** When it was enqueued, in milliseconds since the epoch, where its id does not say. */
  readonly enqueuedAtMs: number | undefined;
  /** The oldest first. */
  readonly history: readonly JobEvent[];
  /** How it ended; absent before, and for dead letters. */
  readonly ended:
    { readonly to: "completed" | "cancelled"; readonly atMs: number; readonly durationMs: number } | undefined;
  readonly fault: "newer" | "garbled" | undefined;
}

/** What is written over a stored job's header. */
export interface Amendment {
  readonly id: string;
  readonly attempts: number;
  readonly reason?: string;
  /** Added to its history. */
  readonly event?: Omit<JobEvent, "attempt">;
  readonly ended?: Ended;
}

interface Ended {
  readonly to: "completed" | "cancelled";
  readonly at: number;
  readonly ms: number;
}

interface Header {
  readonly v: number;
  readonly name: string;
  readonly id?: string;
  readonly attempts?: number;
  readonly unique?: string;
  readonly trace?: string;
  /** Absent: normal. */
  readonly priority?: string;
  readonly gates?: unknown;
  readonly reason?: string;
  readonly enqueued?: number;
  readonly history?: readonly JobEvent[];
  ended?: Ended;
}

export function encodeEnvelope(job: {
  readonly id?: string;
  readonly name: string;
  readonly payload: string;
  readonly unique?: string;
  readonly trace?: string;
  readonly priority?: Priority;
  readonly gates?: readonly Gate[];
  /** In milliseconds since the epoch, where the id that the driver gives does not say when. */
  readonly enqueuedAtMs?: number;
}): string {
  const { id, name, unique, trace, enqueuedAtMs } = job;
  const priority = job.priority === "normal" ? undefined : job.priority;
  const gates = job.gates?.length === 0 ? undefined : job.gates;
  return `${JSON.stringify({ v: version, name, id, unique, trace, priority, gates, enqueued: enqueuedAtMs })}\n${job.payload}`;
}

/** What is kept of a completed job: everything but its payload, which may be large and has served. */
export function encodeCompleted(
  job: {
    readonly name: string;
    readonly attempts: number;
    readonly priority: Priority;
    readonly enqueuedAtMs: number | undefined;
  },
  ended: { readonly atMs: number; readonly durationMs: number },
  result: string,
): string {
  const { name, attempts, priority, enqueuedAtMs } = job;
  const header: Header = {
    v: version,
    name,
    attempts,
    ...(priority === "normal" ? {} : { priority }),
    ...(enqueuedAtMs === undefined ? {} : { enqueued: enqueuedAtMs }),
    ended: { to: "completed", at: ended.atMs, ms: ended.durationMs },
  };
  return `${JSON.stringify(header)}\n${result}`;
}

export function decodeEnvelope(text: string): Envelope {
  const end = text.indexOf("\n");
  const header = parseHeader(end < 0 ? text : text.slice(0, end));
  if (header === undefined) return { ...empty, payload: text, fault: "garbled" };
  const { name, id, attempts = 0, unique, trace, priority, gates, reason, v, enqueued, history = [], ended } = header;
  return {
    name,
    id,
    attempts,
    unique,
    trace,
    priority: priority === "high" || priority === "low" ? priority : "normal",
    gates: gates === undefined ? noGates : gatesIn(gates),
    reason,
    payload: text.slice(end + 1),
    enqueuedAtMs: enqueued,
    history: Array.isArray(history) ? history : [],
    ended: ended && { to: ended.to, atMs: ended.at, durationMs: ended.ms },
    fault: v > version ? "newer" : undefined,
  };
}

/** The same job with a new header; what it does not know stays. A garbled one becomes a readable envelope around its text. */
export function amendEnvelope(text: string, amendment: Amendment): string {
  const end = text.indexOf("\n");
  const header = parseHeader(end < 0 ? text : text.slice(0, end));
  const { id, attempts, event, ended } = amendment;
  const changed: Header = {
    ...(header ?? { v: version, name: empty.name }),
    id,
    attempts,
    ...(amendment.reason === undefined ? {} : { reason: amendment.reason.slice(0, reasonCharsMax) }),
    ...(event === undefined ? {} : { history: withEvent(header?.history, { ...event, attempt: attempts }) }),
  };
  // Whatever is stored anew has not ended, unless this says so.
  if (ended === undefined) delete changed.ended;
  else changed.ended = ended;
  return `${JSON.stringify(changed)}\n${header === undefined ? JSON.stringify(text) : text.slice(end + 1)}`;
}

/** What repeats itself, such as waiting for a worker that knows the job, must not push out what happened before. */
function withEvent(history: readonly JobEvent[] | undefined, event: JobEvent): readonly JobEvent[] {
  const events = Array.isArray(history) ? (history as readonly JobEvent[]) : [];
  const last = events.at(-1);
  const reason = event.reason.slice(0, eventReasonCharsMax);
  if (last?.to !== event.to || last.reason !== reason) return [...events, { ...event, reason }].slice(-eventsMax);
  return [...events.slice(0, -1), { ...event, reason, times: (last.times ?? 1) + 1 }];
}

const empty: Envelope = {
  name: "(unreadable)",
  payload: "null",
  id: undefined,
  attempts: 0,
  unique: undefined,
  trace: undefined,
  priority: "normal",
  gates: noGates,
  reason: undefined,
  enqueuedAtMs: undefined,
  history: [],
  ended: undefined,
  fault: undefined,
};

/** The last header that was read: jobs of one kind that were enqueued together mostly have the same. */
let known: { readonly line: string; readonly header: Header | undefined } = { line: "", header: undefined };

function parseHeader(line: string): Header | undefined {
  if (line !== known.line) known = { line, header: readHeader(line) };
  return known.header;
}

function readHeader(line: string): Header | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isHeader(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What this version reads must have the type it expects; of a later version only the fields that cannot change are looked at. */
function isHeader(value: unknown): value is Header {
  if (typeof value !== "object" || value === null) return false;
  const { v, name, id, attempts, unique, trace } = value as { readonly [field: string]: unknown };
  const optional = (field: unknown, type: string) => field === undefined || typeof field === type;
  return (
    typeof v === "number" &&
    typeof name === "string" &&
    optional(id, "string") &&
    optional(attempts, "number") &&
    optional(unique, "string") &&
    optional(trace, "string")
  );
}
