/** From a stored job to a lease, and from a settlement back to what is stored: the same in every driver. */
import { amendEnvelope, type Amendment, decodeEnvelope, encodeCompleted } from "./envelope.ts";
import type { QueueLimits } from "./limits.ts";
import type { Beginning, DeadLetter, Lease, Settlement } from "./queue.ts";

export interface Delivery {
  readonly queue: string;
  readonly owner: string;
  /** Where the driver holds it: another one each time it is stored. */
  readonly entry: string;
  /** The id of a job whose envelope has none. Absent: the entry. */
  readonly ownId?: string;
  readonly deliveries: number;
  /** What `begun` wrote, or "" where it was not begun since it was stored. */
  readonly mark: string;
  readonly availableAtMs: number;
  readonly envelope: string;
}

export function leaseOf(delivery: Delivery): Lease {
  const { queue, owner, entry, ownId = entry, deliveries, mark, availableAtMs, envelope } = delivery;
  const { id, name, payload, attempts, unique, trace, priority, gates, enqueuedAtMs, fault } = decodeEnvelope(envelope);
  // Written out: every job comes through here, and copying objects property by property costs most of it.
  return {
    queue,
    id: `${queue}:${id ?? ownId}`,
    entry,
    owner,
    deliveries,
    name,
    payload,
    attempts,
    starts: startsOf(mark),
    alone: mark.endsWith("a"),
    unique,
    trace,
    priority,
    gates,
    enqueuedAtMs,
    availableAtMs,
    fault,
    envelope,
  };
}

/** How a driver notes that a job begins: how often it has now, when, and whether nothing runs beside it. STARTS@MS, or STARTS@MSa. */
export function markOf({ lease, alone }: Beginning, nowMs: number): string {
  return `${lease.starts + 1}@${nowMs}${alone ? "a" : ""}`;
}

/** How often a job has begun since it was stored. */
export function startsOf(mark: string): number {
  return mark === "" ? 0 : Number.parseInt(mark, 10);
}

/** When it last began, in milliseconds since the epoch. Undefined where it did not, or a version of scale noted it that did not say. */
export function beganAtOf(mark: string): number | undefined {
  const at = mark.indexOf("@");
  return at === -1 ? undefined : Number.parseInt(mark.slice(at + 1), 10);
}

/** The job's id without its queue: how the driver knows it. */
export function idInQueue(lease: Lease): string {
  return lease.id.slice(lease.queue.length + 1);
}

/** The job as it is put back or kept, with the attempts counted from now on. Being handed back leaves no trace in its history. */
export function envelopeAfter(settlement: Exclude<Settlement, { to: "completed" }>): string {
  const { to, lease, attempts } = settlement;
  const id = idInQueue(lease);
  if (to === "available") return amendEnvelope(lease.envelope, { id, attempts });
  const { reason } = settlement;
  const at = Date.now();
  const amendment: Amendment = { id, attempts, reason, event: { at, to, reason } };
  return amendEnvelope(lease.envelope, to === "cancelled" ? { ...amendment, ended: { to, at, ms: 0 } } : amendment);
}

/** How long it is kept, in milliseconds. A cancelled job as long as the queue keeps them, a completed one may have its own time. */
export function keepMsOf(
  settlement: Extract<Settlement, { to: "completed" | "cancelled" }>,
  { completedMax, completedAge }: Pick<QueueLimits, "completedMax" | "completedAge">,
): number {
  if (completedMax === 0) return 0;
  return Math.ceil((settlement.to === "completed" ? settlement.keepMs : undefined) ?? completedAge);
}

/** What is kept of a job that completed. */
export function completedRecord({
  lease,
  result = "",
  durationMs = 0,
}: Extract<Settlement, { to: "completed" }>): string {
  const { name, attempts, starts, priority, enqueuedAtMs } = lease;
  const job = { name, attempts: attempts + starts + 1, priority, enqueuedAtMs };
  return encodeCompleted(job, { atMs: Date.now(), durationMs: Math.round(durationMs) }, result);
}

export function deadLetterOf(id: string, diedAtMs: number, envelope: string): DeadLetter {
  const { name, payload, attempts, reason = "" } = decodeEnvelope(envelope);
  return { id, name, payload, attempts, reason, diedAtMs };
}
