/**
 * How a job under suspicion is left alone, so that the next crash has one suspect. Pure; what a suspicion leads to in the end is
 * retry.ts, the slot of its own is slots.ts.
 */
import type { Lease } from "../src/store/queue/queue.ts";

/** How a job is left alone. */
export interface Solitude {
  /** Time that those running already have to end before it starts beside them. */
  readonly waitMs: number;
  /** Time that it keeps others from starting beside it. */
  readonly aloneMs: number;
}

/** After its first worker died, and after more did. */
const solitude = { once: { waitMs: 50, aloneMs: 100 }, often: { waitMs: 1_000, aloneMs: 30_000 } } as const;

/**
 * Whether nothing may start beside a job, and for how long; undefined where it is under no suspicion. One death is mostly a deploy or a
 * machine, and its jobs must all run elsewhere within seconds; a job whose worker died twice gets the time to show whether it was the one.
 */
export function solitudeOf({ starts }: Pick<Lease, "starts">): Solitude | undefined {
  if (starts === 0) return undefined;
  return starts === 1 ? solitude.once : solitude.often;
}
