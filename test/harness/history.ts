/**
 * What clients wrote and read, and whether that is allowed: each sees its own writes, none goes back in time, and nobody is given what was
 * invalidated before he asked. Pure but for the recorder's clock; unit-tested with histories that must be refused.
 *
 * Values are versions: whole numbers that grow with every write of a key, 0 where there is none yet. What happened at the same time may have
 * happened in any order, so a fault is a fault whatever the clocks and the network did.
 */

export interface HistoryEvent {
  readonly kind: "write" | "read";
  /** Whose write or read it is: one person's browser. */
  readonly client: string;
  /** Which process answered. */
  readonly place: string;
  readonly key: string;
  readonly version: number;
  /** Milliseconds. */
  readonly beganAt: number;
  readonly endedAt: number;
  /** A write whose fate nobody told: it may have happened, at any time. */
  readonly isUnknown: boolean;
}

export interface Promises {
  readonly readYourWrites?: boolean;
  readonly monotonicReads?: boolean;
  /** Nothing older than a write, for reads that begin so many milliseconds after it was acknowledged: by the place that took it, and by others. */
  readonly freshAfterMs?: { readonly same: number; readonly others: number };
}

/** Collects events as they end. */
export class History {
  readonly events: HistoryEvent[] = [];

  /** Runs a write of `version`. What it throws is thrown on, and the write is one whose fate nobody knows. */
  async write(client: string, place: string, key: string, version: number, run: () => Promise<unknown>): Promise<void> {
    const beganAt = performance.now();
    let isUnknown = true;
    try {
      await run();
      isUnknown = false;
    } finally {
      this.events.push({ kind: "write", client, place, key, version, beganAt, endedAt: performance.now(), isUnknown });
    }
  }

  /** Runs a read, which resolves to the version it got. One that throws has seen nothing. */
  async read(client: string, place: string, key: string, run: () => Promise<number>): Promise<number> {
    const beganAt = performance.now();
    const version = await run();
    const endedAt = performance.now();
    this.events.push({ kind: "read", client, place, key, version, beganAt, endedAt, isUnknown: false });
    return version;
  }
}

/** The least version a read must show, and why. */
interface Floor {
  readonly version: number;
  readonly because: string;
}

/** A floor that holds for whoever begins to read after `from`. */
interface Bound extends Floor {
  readonly from: number;
  readonly concerns: (read: HistoryEvent) => boolean;
}

/** One sentence for each read that broke a promise; none: the history is allowed. */
export function faultsOf(events: readonly HistoryEvent[], promises: Promises): string[] {
  return [...Map.groupBy(events, ({ key }) => key).values()].flatMap((ofKey) => faultsOfKey(ofKey, promises));
}

function faultsOfKey(events: readonly HistoryEvent[], promises: Promises): string[] {
  const bounds = events.flatMap((event) => boundsOf(event, promises)).toSorted((a, b) => a.from - b.from);
  const writes = events.filter(({ kind }) => kind === "write");
  const reads = events.filter(({ kind }) => kind === "read");
  return reads
    .flatMap((read) => [tooOld(read, bounds), fromNowhere(read, writes)])
    .filter((fault) => fault !== undefined);
}

function boundsOf(event: HistoryEvent, { readYourWrites, monotonicReads, freshAfterMs }: Promises): Bound[] {
  const { kind, client, place, version, endedAt, isUnknown } = event;
  const bounds: Bound[] = [];
  const add = (from: number, because: string, concerns: Bound["concerns"]) =>
    bounds.push({ version, from, because: `${because} at ${milliseconds(endedAt)}`, concerns });
  if (kind === "read") {
    if (monotonicReads) add(endedAt, `had read ${version}`, (read) => read.client === client);
    return bounds;
  }
  if (isUnknown) return [];
  if (readYourWrites) add(endedAt, `had written ${version}`, (read) => read.client === client);
  if (freshAfterMs !== undefined) {
    const { same, others } = freshAfterMs;
    add(endedAt + same, `could know of ${version}, written through ${place}`, (read) => read.place === place);
    add(endedAt + others, `could know of ${version}, written through ${place}`, (read) => read.place !== place);
  }
  return bounds;
}

function tooOld(read: HistoryEvent, bounds: readonly Bound[]): string | undefined {
  let floor: Floor = { version: 0, because: "" };
  for (const bound of bounds) {
    if (bound.from >= read.beganAt) break;
    if (bound.version > floor.version && bound.concerns(read)) floor = bound;
  }
  return read.version >= floor.version ? undefined : `${sentence(read)} and ${floor.because}`;
}

/** Nobody has begun to write it by the time it was read. */
function fromNowhere(read: HistoryEvent, writes: readonly HistoryEvent[]): string | undefined {
  if (read.version === 0) return undefined;
  const isWritten = writes.some(({ version, beganAt }) => version === read.version && beganAt <= read.endedAt);
  return isWritten ? undefined : `${sentence(read)}, which nobody had written`;
}

function sentence({ client, place, key, version, beganAt }: HistoryEvent): string {
  return `${client} read ${version} of ${key} through ${place} from ${milliseconds(beganAt)}`;
}

function milliseconds(time: number): string {
  return `${time.toFixed(1)} ms`;
}
