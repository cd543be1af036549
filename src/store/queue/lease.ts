/** From a stored job to a lease, and from a settlement back to what is stored: the same in every driver. */
import { amendEnvelope, decodeEnvelope } from "./envelope.ts";
import type { DeadLetter, Lease, Settlement } from "./queue.ts";

export interface Delivery {
  readonly queue: string;
  readonly owner: string;
  /** Where the driver holds it; for a job stored for the first time also its id. */
  readonly entry: string;
  readonly deliveries: number;
  readonly availableAtMs: number;
  readonly envelope: string;
}

export function leaseOf(delivery: Delivery): Lease {
  const { id, reason: _, ...job } = decodeEnvelope(delivery.envelope);
  return { ...delivery, ...job, id: `${delivery.queue}:${id ?? delivery.entry}` };
}

/** The job's id without its queue: how the driver knows it. */
export function idInQueue(lease: Lease): string {
  return lease.id.slice(lease.queue.length + 1);
}

/** The job as it is put back, with the attempts counted from now on. */
export function envelopeAfter(settlement: Exclude<Settlement, { to: "completed" }>): string {
  const { lease, attempts } = settlement;
  const reason = settlement.to === "available" ? {} : { reason: settlement.reason };
  return amendEnvelope(lease.envelope, { id: idInQueue(lease), attempts, ...reason });
}

export function deadLetterOf(id: string, diedAtMs: number, envelope: string): DeadLetter {
  const { name, payload, attempts, reason = "" } = decodeEnvelope(envelope);
  return { id, name, payload, attempts, reason, diedAtMs };
}
