/**
 * Recording outcomes on Redis: one script for each kind of outcome among them, all at once. The scripts are redis_scripts.ts, who calls is
 * redis_consumer.ts.
 */
import type { Script, ScriptArgument } from "../redis/script.ts";
import { completedRecord, envelopeAfter, idInQueue, keepMsOf } from "./lease.ts";
import type { QueueLimits } from "./limits.ts";
import type { Lease, Settlement } from "./queue.ts";
import { gateKeys } from "./redis_gate_scripts.ts";
import type { QueueKeys, StreamKeys } from "./redis_keys.ts";
import type { RedisLeases } from "./redis_leases.ts";
import * as scripts from "./redis_scripts.ts";

type To<T extends Settlement["to"]> = Extract<Settlement, { to: T }>;

/** A batch, by the step that records it. */
interface Outcomes {
  readonly completed: To<"completed">[];
  readonly cancelled: To<"cancelled">[];
  readonly delayed: To<"retryable" | "scheduled">[];
  readonly released: To<"available">[];
  readonly discarded: To<"discarded">[];
}

/** Records outcomes of one owner's leases; returns those that were lost. See Consumer.settle. */
export async function settle(
  leases: RedisLeases,
  limits: QueueLimits,
  settlements: readonly Settlement[],
  round: number | undefined,
): Promise<readonly Lease[]> {
  const of = outcomesOf(settlements);
  const asked = round ?? "";
  const lost = await Promise.all([
    ended(leases, limits, "completed", asked, of.completed, completedRecord),
    ended(leases, limits, "cancelled", asked, of.cancelled, envelopeAfter),
    delay(leases, asked, of.delayed),
    release(leases, asked, of.released),
    discard(leases, limits, asked, of.discarded),
  ]);
  return lost.flat();
}

function outcomesOf(settlements: readonly Settlement[]): Outcomes {
  const of: Outcomes = { completed: [], cancelled: [], delayed: [], released: [], discarded: [] };
  for (const settlement of settlements) {
    switch (settlement.to) {
      case "completed":
        of.completed.push(settlement);
        break;
      case "cancelled":
        of.cancelled.push(settlement);
        break;
      case "retryable":
      case "scheduled":
        of.delayed.push(settlement);
        break;
      case "available":
        of.released.push(settlement);
        break;
      case "discarded":
        of.discarded.push(settlement);
    }
  }
  return of;
}

/** Jobs that completed or were cancelled, each with the record that is kept of it. */
function ended<S extends To<"completed" | "cancelled">>(
  leases: RedisLeases,
  limits: QueueLimits,
  outcome: S["to"],
  round: ScriptArgument,
  settlements: readonly S[],
  recordOf: (settlement: S) => string,
): Promise<readonly Lease[]> {
  const { unique, moved, done, doneJobs, progress, cancel, counts } = leases.keys;
  const [chosen, gates] = variantFor(settlements, scripts.complete, leases.keys);
  const keys = ({ stream, started, receipt }: StreamKeys) => {
    const own = [stream, unique, moved, done, doneJobs, progress, cancel, counts, started];
    return [...own, ...gates, `${receipt}:${leases.owner}:${outcome}`];
  };
  const first = [round, outcome, limits.completedMax];
  return leases.fenced(chosen, keys, first, settlements, leaseIn, (settlement) => {
    const { lease } = settlement;
    const keepMs = keepMsOf(settlement, limits);
    return [idInQueue(lease), lease.unique ?? "", keepMs, keepMs > 0 ? recordOf(settlement) : ""];
  });
}

function delay(
  leases: RedisLeases,
  round: ScriptArgument,
  settlements: readonly To<"retryable" | "scheduled">[],
): Promise<readonly Lease[]> {
  const { delayed, delayedJobs, moved, counts } = leases.keys;
  const [chosen, gates] = variantFor(settlements, scripts.delay, leases.keys);
  const keys = ({ stream, started, receipt }: StreamKeys) => {
    const own = [stream, delayed, delayedJobs, moved, counts, started];
    return [...own, ...gates, `${receipt}:${leases.owner}:delay`];
  };
  return leases.fenced(chosen, keys, [round], settlements, leaseIn, (settlement) => {
    const { lease, delayMs, to } = settlement;
    return [idInQueue(lease), Math.ceil(delayMs), envelopeAfter(settlement), to === "retryable" ? 1 : 0];
  });
}

function release(
  leases: RedisLeases,
  round: ScriptArgument,
  settlements: readonly To<"available">[],
): Promise<readonly Lease[]> {
  const { moved } = leases.keys;
  const keys = ({ stream, started, receipt }: StreamKeys) => {
    return [stream, moved, started, `${receipt}:${leases.owner}:release`];
  };
  return leases.fenced(scripts.release, keys, [round], settlements, leaseIn, (settlement) => {
    return [idInQueue(settlement.lease), envelopeAfter(settlement)];
  });
}

function discard(
  leases: RedisLeases,
  limits: QueueLimits,
  round: ScriptArgument,
  settlements: readonly To<"discarded">[],
): Promise<readonly Lease[]> {
  const { dead, deadJobs, unique, moved, progress, cancel, counts } = leases.keys;
  const [chosen, gates] = variantFor(settlements, scripts.discard, leases.keys);
  const keys = ({ stream, started, receipt }: StreamKeys) => {
    const own = [stream, dead, deadJobs, unique, moved, progress, cancel, counts, started];
    return [...own, ...gates, `${receipt}:${leases.owner}:discard`];
  };
  return leases.fenced(chosen, keys, [round, limits.deadLettersMax], settlements, leaseIn, (settlement) => {
    const { lease } = settlement;
    return [idInQueue(lease), lease.unique ?? "", envelopeAfter(settlement)];
  });
}

/** Which of a script's variants these need, and the keys that it wants behind its own: the gates', where one of these has gates. */
export function variantFor(
  items: readonly { readonly lease: Lease }[],
  { plain, any }: { readonly plain: Script; readonly any: Script },
  keys: QueueKeys,
): [chosen: Script, gates: readonly string[]] {
  return items.some(hasGates) ? [any, gateKeys(keys)] : [plain, noKeys];
}

function hasGates({ lease }: { readonly lease: Lease }): boolean {
  return lease.gates.length > 0;
}

const noKeys: readonly string[] = [];
const leaseIn = ({ lease }: { readonly lease: Lease }) => lease;
