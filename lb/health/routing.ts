/** Who of a service's targets may be routed to, from the health of all of them. Pure. */
import type { Routing } from "../world.ts";
import { type Health, isUnknown } from "./state.ts";

/** In the order of `healths`: the healthy ones are routable; all that are wanted are, while nothing is known of any. */
export function routingOf(healths: readonly Health[]): Routing[] {
  const wanted = healths.filter(({ state }) => state !== "drained");
  const isNothingKnown = wanted.every(isUnknown);
  return healths.map((health) => {
    if (health.state === "draining" || health.state === "drained") return "draining";
    return health.state === "healthy" || isNothingKnown ? "routable" : "out";
  });
}
