/**
 * How a job is stored: one line of JSON that scale reads, a line feed, and the payload, which scale never parses here.
 *
 *      {"v":1,"name":"send_welcome_email","id":"1700000000000-0","attempts":2}⏎{"email":"ada@example.com"}
 *
 * Invariant: two versions of scale share a queue during every deploy, so this frame never changes, a header of a later version is
 * carried along unread, and fields a version does not know survive its hands.
 */

const version = 1;
const reasonCharsMax = 2_000;

export interface Envelope {
  readonly name: string;
  readonly payload: string;
  /** The job's id without its queue. Absent until it is stored a second time, unless it was chosen: the first entry's own id is the job's. */
  readonly id: string | undefined;
  readonly attempts: number;
  readonly unique: string | undefined;
  readonly trace: string | undefined;
  readonly reason: string | undefined;
  readonly fault: "newer" | "garbled" | undefined;
}

/** What is written over a stored job's header. */
export interface Amendment {
  readonly id: string;
  readonly attempts: number;
  readonly reason?: string;
}

interface Header {
  readonly v: number;
  readonly name: string;
  readonly id?: string;
  readonly attempts?: number;
  readonly unique?: string;
  readonly trace?: string;
  readonly reason?: string;
}

export function encodeEnvelope(job: {
  readonly id?: string;
  readonly name: string;
  readonly payload: string;
  readonly unique?: string;
  readonly trace?: string;
}): string {
  const { id, name, unique, trace } = job;
  return `${JSON.stringify({ v: version, name, id, unique, trace })}\n${job.payload}`;
}

export function decodeEnvelope(text: string): Envelope {
  const end = text.indexOf("\n");
  const header = parseHeader(end < 0 ? text : text.slice(0, end));
  if (header === undefined) return { ...empty, payload: text, fault: "garbled" };
  const { name, id, attempts = 0, unique, trace, reason, v } = header;
  const fault = v > version ? "newer" : undefined;
  return { name, id, attempts, unique, trace, reason, payload: text.slice(end + 1), fault };
}

/** The same job with a new header; what it does not know stays. A garbled one becomes a readable envelope around its text. */
export function amendEnvelope(text: string, amendment: Amendment): string {
  const end = text.indexOf("\n");
  const header = parseHeader(end < 0 ? text : text.slice(0, end));
  const reason = amendment.reason === undefined ? {} : { reason: amendment.reason.slice(0, reasonCharsMax) };
  const changed = { ...(header ?? { v: version, name: empty.name }), ...amendment, ...reason };
  return `${JSON.stringify(changed)}\n${header === undefined ? JSON.stringify(text) : text.slice(end + 1)}`;
}

const empty: Envelope = {
  name: "(unreadable)",
  payload: "null",
  id: undefined,
  attempts: 0,
  unique: undefined,
  trace: undefined,
  reason: undefined,
  fault: undefined,
};

function parseHeader(line: string): Header | undefined {
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
