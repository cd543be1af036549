/** Who of a service's targets may be routed to, from the health of all of them: panic, the limit of ejections, the slow start. Pure. */
import type { Routing } from "../world.ts";
import { type Health, isUnknown } from "./state.ts";

export interface ServiceRouting {
  /** In the order of the healths. */
  readonly routings: readonly Routing[];
  /** So few targets are healthy that all are used: more likely the checks are wrong, or those few would fall as well. */
  readonly isPanic: boolean;
}

/**
 * The healthy ones are routable; all that are wanted while nothing is known of any; and in a panic, when less than `panicPercent` of
 * those that can be counted on are healthy, these all. Counted on are targets that have been healthy and are wanted; a new one that has
 * never passed says nothing about the others, unless there are only such.
 */
export function routingOf(healths: readonly Health[], panicPercent: number): ServiceRouting {
  const isNothingKnown = healths.filter(isWanted).every(isUnknown);
  const judged = healths.filter((health) => isWanted(health) && health.state !== "joining");
  const areAllNew = !judged.some(({ hasPassed }) => hasPassed);
  const counted = judged.filter(({ hasPassed }) => hasPassed || areAllNew);
  const isPanic = counted.filter(isHealthy).length * 100 < counted.length * panicPercent;
  const used = new Set(isPanic ? counted : counted.filter(isHealthy));
  const routings = healths.map((health) => {
    if (!isWanted(health)) return "draining";
    return isNothingKnown || used.has(health) ? "routable" : "out";
  });
  return { routings, isPanic };
}

/** Whether one more target may be ejected: not the last healthy one, and no more than `percentMax` of all that are wanted. */
export function mayEject(healths: readonly Health[], percentMax: number): boolean {
  const wanted = healths.filter(isWanted);
  const ejected = wanted.filter(({ state }) => state === "ejected").length;
  return wanted.filter(isHealthy).length > 1 && (ejected + 1) * 100 <= wanted.length * percentMax;
}

/**
 * When each target's slow start began, in milliseconds since the epoch; 0 for none. It has one only beside a target that had been in for
 * longer than a slow start lasts and so can carry the difference: those that start together share alike from the first request.
 */
export function slowStarts(healths: readonly Health[], slowStart: number): number[] {
  const firstIn = Math.min(...healths.filter(isHealthy).map(({ since }) => since));
  return healths.map((health) => {
    const isBesideWarm = firstIn + slowStart <= health.since;
    return slowStart > 0 && isHealthy(health) && isBesideWarm ? health.since : 0;
  });
}

/** Neither it nor the operator asked for no more requests. */
function isWanted({ state }: Health): boolean {
  return state !== "draining" && state !== "drained";
}

function isHealthy({ state }: Health): boolean {
  return state === "healthy";
}
