/** What the scripts of redis_inspector_scripts.ts answer, read: from flat lists to jobs and numbers. Asking is redis_inspector.ts. */
import { numberOf, type ScriptReply, textOf } from "../redis/script.ts";
import type { StoredJob } from "./inspect.ts";
import { startsOf } from "./lease.ts";

/** From entry, head, bytes of the payload, then of a running one its lease. */
export function jobInStream(
  queue: string,
  place: "waiting" | "running",
  suffix: string,
  facts: readonly ScriptReply[],
): StoredJob {
  const [entry, head, bytes, ...lease] = facts;
  const found = {
    queue,
    place,
    entry: `${textOf(entry)}${suffix}`,
    envelope: textOf(head),
    payloadBytes: numberOf(bytes),
  };
  return place === "waiting" ? { ...found, atMs: clockOf(found.entry) } : { ...found, ...leaseFacts(lease) };
}

export interface StreamFacts {
  readonly waiting: number;
  readonly running: number;
  /** Infinity where none waits. */
  readonly oldestAtMs: number;
  readonly added: number;
}

/** From entries, running, oldest that waits or '', entries ever added. */
export function streamFacts([entries, pending, oldest, added]: readonly ScriptReply[]): StreamFacts {
  const running = numberOf(pending);
  return {
    running,
    waiting: Math.max(0, numberOf(entries) - running),
    oldestAtMs: oldest === "" ? Number.POSITIVE_INFINITY : clockOf(textOf(oldest)),
    added: numberOf(added),
  };
}

/** From owner, ms since the lease was renewed, mark. */
export function leaseFacts([owner, idleMs, mark]: readonly ScriptReply[]) {
  return { owner: textOf(owner), atMs: Date.now() - numberOf(idleMs), starts: startsOf(textOf(mark)) };
}

export function inGroups(flat: readonly ScriptReply[], size: number): readonly (readonly ScriptReply[])[] {
  return Array.from({ length: Math.floor(flat.length / size) }, (_, group) =>
    flat.slice(group * size, (group + 1) * size),
  );
}

export function clockOf(entry: string): number {
  return Number(entry.slice(0, entry.indexOf("-")));
}

export function payloadBytesOf(envelope: string): number {
  return Buffer.byteLength(envelope.slice(envelope.indexOf("\n") + 1));
}
