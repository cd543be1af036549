/** Which ticks of a schedule are due: pure functions of its rhythm and two instants, the same in every worker. */
import type { CatchUp, Rhythm } from "../src/runtime/schedule.ts";
import { nextTick as nextCronTick } from "../src/std/cron.ts";

/** Ticks caught up at a time under "all"; of more, the newest. */
export const caughtUpMax = 1_000;
/** A tick fired this late is still on time: a leader may have died, and another has to notice. */
const onTimeMs = 60_000;
const firstLookMs = 60_000;

/** The first tick after an instant. `every` counts from the epoch, so that the whole fleet, started whenever, has the same. */
export function nextTick(rhythm: Rhythm, after: number): number {
  if (rhythm.kind === "cron") return nextCronTick(rhythm.cron, rhythm.zone, after);
  return (Math.floor(after / rhythm.everyMs) + 1) * rhythm.everyMs;
}

/** What is to be fired at `now`, oldest first, when the last tick fired was at `last`. */
export function dueTicks(rhythm: Rhythm, catchUp: CatchUp, last: number, now: number): readonly number[] {
  switch (catchUp) {
    case "skip":
      return newestTicks(rhythm, Math.max(last, now - onTimeMs), now, 1);
    case "one":
      return newestTicks(rhythm, last, now, 1);
    case "all":
      return newestTicks(rhythm, last, now, caughtUpMax);
  }
}

/** The newest ticks after `from`, up to and with `to`. Looks back in steps that double: a fleet may have been away for a year. */
function newestTicks(rhythm: Rhythm, from: number, to: number, max: number): readonly number[] {
  for (let lookMs = firstLookMs; ; lookMs *= 2) {
    const start = Math.max(from, to - lookMs);
    const ticks = ticksBetween(rhythm, start, to);
    if (ticks.length >= max || start === from) return ticks.slice(-max);
  }
}

function ticksBetween(rhythm: Rhythm, from: number, to: number): readonly number[] {
  const ticks: number[] = [];
  for (let tick = nextTick(rhythm, from); tick <= to; tick = nextTick(rhythm, tick)) ticks.push(tick);
  return ticks;
}
