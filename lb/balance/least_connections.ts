/**
 * The least busy target for its weight, in requests under way; equals take turns by weight, so that an idle service is spread like
 * round robin. As nginx's least_conn. Good where requests differ much in length; looks at every target.
 */
import { type Candidate, isOpen, loadOf } from "./candidate.ts";
import { roundRobin } from "./round_robin.ts";

/** Hot: no allocation. */
export function leastConnections<C extends Candidate>(candidates: readonly C[], tried: readonly C[]): C | undefined {
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]!;
    if (isOpen(candidate, tried)) least = Math.min(least, loadOf(candidate));
  }
  return roundRobin(candidates, tried, least);
}
