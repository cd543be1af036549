/** What the scripts of redis_inspector_scripts.ts answer, read: from flat lists to jobs and numbers. Asking is redis_inspector.ts. */
import { numberOf, type ScriptReply, textOf } from "../redis/script.ts";
import { type Count, counts, notACursor, type QueueOverview, type StoredJob } from "./inspect.ts";
import { beganAtOf, startsOf } from "./lease.ts";

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

/** From what `overview` says it returns. */
export function overviewOf(reply: readonly ScriptReply[]): QueueOverview {
  const [late, letters, kept, parked, paused, ...rest] = reply;
  const normal = streamFacts(rest.slice(0, 4));
  const high = streamFacts(rest.slice(4, 8));
  const low = streamFacts(rest.slice(8, 12));
  const streams = [normal, high, low];
  const sum = (of: (one: StreamFacts) => number) => streams.reduce((all, one) => all + of(one), 0);
  const numbers = new Map([["arrived", sum(({ added }) => added)]]);
  for (const [count, value] of inGroups(rest.slice(12), 2)) numbers.set(textOf(count), numberOf(value));
  const oldest = Math.min(...streams.map(({ oldestAtMs }) => oldestAtMs));
  return {
    waiting: sum(({ waiting }) => waiting),
    parked: numberOf(parked),
    running: sum(({ running }) => running),
    delayed: numberOf(late),
    dead: numberOf(letters),
    done: numberOf(kept),
    waitingBy: { high: high.waiting, normal: normal.waiting, low: low.waiting },
    pausedAtMs: paused === "" ? undefined : numberOf(paused),
    oldestWaitingAtMs: Number.isFinite(oldest) ? oldest : undefined,
    counts: Object.fromEntries(counts.map((count) => [count, numbers.get(count) ?? 0])) as { [C in Count]: number },
  };
}

interface StreamFacts {
  readonly waiting: number;
  readonly running: number;
  /** Infinity where none waits. */
  readonly oldestAtMs: number;
  readonly added: number;
}

/** From entries, running, oldest that waits or '', entries ever added. */
function streamFacts([entries, pending, oldest, added]: readonly ScriptReply[]): StreamFacts {
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
  const beganAtMs = beganAtOf(textOf(mark));
  return {
    owner: textOf(owner),
    atMs: Date.now() - numberOf(idleMs),
    starts: startsOf(textOf(mark)),
    ...(beganAtMs === undefined ? {} : { beganAtMs }),
  };
}

/** From member, head, bytes of the payload, since when. */
export function parkedJob(queue: string, [member, head, bytes, since]: readonly ScriptReply[]): StoredJob {
  const parkedAs = textOf(member);
  return {
    queue,
    place: "parked",
    entry: parkedAs.slice(parkedAs.lastIndexOf("\n") + 1),
    envelope: textOf(head),
    payloadBytes: numberOf(bytes),
    atMs: numberOf(since),
    ...gateFacts(parkedAs),
  };
}

/** From GATE⏎NUMBER⏎ID. */
export function gateFacts(parkedAs: string) {
  return { parkedAs, waitsFor: parkedAs.slice(0, parkedAs.indexOf("\n")) };
}

/** The member in a cursor. */
export function memberIn(cursor: string): string {
  try {
    const member = decodeURIComponent(cursor);
    if (/^[^\n]+\n\d+\n[^\n]+$/.test(member)) return member;
  } catch {
    // Said below.
  }
  throw notACursor(cursor);
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
