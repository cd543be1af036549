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

/** Records outcomes of one owner's leases; returns those that were lost. See Consumer.settle. */
export async function settle(
  leases: RedisLeases,
  limits: QueueLimits,
  settlements: readonly Settlement[],
  round: number | undefined,
): Promise<readonly Lease[]> {
  const { delayed, delayedJobs, dead, deadJobs, unique, moved, progress, cancel, counts } = leases.keys;
  const receiptOf = (receipt: string, step: string) => `${receipt}:${leases.owner}:${step}`;
  const fenced = fencedBy(leases);
  const asked = round ?? "";
  const put = pick(settlements, "retryable", "scheduled");
  const gone = pick(settlements, "discarded");
  const lost = await Promise.all([
    ended(leases, limits, "completed", asked, pick(settlements, "completed"), completedRecord),
    ended(leases, limits, "cancelled", asked, pick(settlements, "cancelled"), envelopeAfter),
    fenced(
      variantFor(put, scripts.delay),
      ({ stream, started, receipt }) => {
        const own = [stream, delayed, delayedJobs, moved, counts, started];
        return [...own, ...gateKeysFor(put, leases.keys), receiptOf(receipt, "delay")];
      },
      [asked],
      put,
      (to) => [idInQueue(to.lease), Math.ceil(to.delayMs), envelopeAfter(to), to.to === "retryable" ? 1 : 0],
    ),
    fenced(
      scripts.release,
      ({ stream, started, receipt }) => [stream, moved, started, receiptOf(receipt, "release")],
      [asked],
      pick(settlements, "available"),
      (to) => [idInQueue(to.lease), envelopeAfter(to)],
    ),
    fenced(
      variantFor(gone, scripts.discard),
      ({ stream, started, receipt }) => {
        const kept = [dead, deadJobs, unique, moved, progress, cancel, counts];
        return [stream, ...kept, started, ...gateKeysFor(gone, leases.keys), receiptOf(receipt, "discard")];
      },
      [asked, limits.deadLettersMax],
      gone,
      (to) => [idInQueue(to.lease), to.lease.unique ?? "", envelopeAfter(to)],
    ),
  ]);
  return lost.flat();
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
  const keys = ({ stream, started, receipt }: StreamKeys) => {
    const own = [stream, unique, moved, done, doneJobs, progress, cancel, counts, started];
    return [...own, ...gateKeysFor(settlements, leases.keys), `${receipt}:${leases.owner}:${outcome}`];
  };
  const first = [round, outcome, limits.completedMax];
  return fencedBy(leases)(variantFor(settlements, scripts.complete), keys, first, settlements, (settlement) => {
    const { lease } = settlement;
    const keepMs = keepMsOf(settlement, limits);
    return [idInQueue(lease), lease.unique ?? "", keepMs, keepMs > 0 ? recordOf(settlement) : ""];
  });
}

function fencedBy(leases: RedisLeases) {
  return <T extends { readonly lease: Lease }>(
    chosen: Script,
    keys: (at: StreamKeys) => readonly string[],
    first: readonly ScriptArgument[],
    items: readonly T[],
    rest: (item: T) => readonly ScriptArgument[],
  ) => leases.fenced(chosen, keys, first, items, ({ lease }) => lease, rest);
}

/** The gates' keys, where one of these has gates. */
export function gateKeysFor(items: readonly { readonly lease: Lease }[], keys: QueueKeys): readonly string[] {
  return items.some(hasGates) ? gateKeys(keys) : [];
}

export function hasGates({ lease }: { readonly lease: Lease }): boolean {
  return lease.gates.length > 0;
}

function variantFor(
  items: readonly { readonly lease: Lease }[],
  variants: { readonly plain: Script; readonly any: Script },
) {
  return items.some(hasGates) ? variants.any : variants.plain;
}

function pick<T extends Settlement["to"]>(settlements: readonly Settlement[], ...to: readonly T[]): To<T>[] {
  return settlements.filter((settlement): settlement is To<T> => (to as readonly string[]).includes(settlement.to));
}
