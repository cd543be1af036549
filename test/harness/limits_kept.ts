// Whether limits over the whole fleet were kept, from when their jobs began and ended. Pure; who writes that down, and which exceptions a
// crash explains, is said where it is called.

export interface Span {
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
}

/** The most that were going on at one moment. One that begins when another ends is not beside it. */
export function mostAtOnce(spans: readonly Span[]): number {
  const turns = spans.flatMap(({ from, to }) => [{ at: from, by: 1 } as const, { at: to, by: -1 } as const]);
  let now = 0;
  let most = 0;
  for (const { by } of turns.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

export interface RateKept {
  readonly max: number;
  readonly perMs: number;
  /** By how much a begin may have been written down later than it was counted: a process that has asked may wait for a core. */
  readonly lateMs: number;
}

export interface Early extends Span {
  /** By how many milliseconds. */
  readonly by: number;
}

/** Over longer times than this the same excess shows within it. */
const lookedAtMs = 60_000;

/** What began although the rate had no place: in any time of `perMs` at most `max` begin, so in k of these times at most k × max. */
export function tooEarly(beganAt: readonly number[], { max, perMs, lateMs }: RateKept): readonly Early[] {
  const begun = beganAt.toSorted((a, b) => a - b);
  const early: Early[] = [];
  for (let times = 1; times * perMs <= Math.max(perMs, lookedAtMs); times++) {
    for (let index = times * max; index < begun.length; index++) {
      const [from, to] = [begun[index - times * max]!, begun[index]!];
      const by = times * perMs - (to - from);
      if (by > lateMs) early.push({ from, to, by });
    }
  }
  return early;
}

export interface Place {
  readonly job: string;
  /** When its first attempt began, and its last. */
  readonly first: number;
  readonly last: number;
}

/** Of a line in its order: neighbours of which the later one began before the earlier one had begun for the last time. */
export function overtakings(line: readonly Place[]): readonly (readonly [Place, Place])[] {
  return line.flatMap((after, index) => {
    const before = line[index - 1];
    return before !== undefined && after.first < before.last ? [[before, after] as const] : [];
  });
}
