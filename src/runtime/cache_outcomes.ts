/**
 * How look-ups in the cache ended: counted always, and said in the response's Server-Timing for its developer, where --cache-outcomes=show.
 *
 *     local: kept in this process      hit: the store's, fresh       stale: the store's, or kept for a load that failed
 *     miss: loaded and stored          coalesced: another's load     error: loaded without the store
 */
import { collect } from "../ops/metrics.ts";
import { type Context, currentContext } from "./context.ts";

const outcomes = { local: 0, hit: 0, stale: 0, miss: 0, coalesced: 0, error: 0 };

export type Outcome = keyof typeof outcomes;

const shown = new WeakMap<Context, Map<Outcome, number>>();
let shows = false;

collect("cache_operations_total", (report) => {
  for (const [outcome, times] of Object.entries(outcomes)) report({ outcome }, times);
});

export function configureOutcomes(config: { readonly cacheOutcomes?: "count" | "show" }): void {
  shows = config.cacheOutcomes === "show";
}

export function countOutcome(outcome: Outcome): void {
  outcomes[outcome]++;
  const context = shows ? currentContext() : undefined;
  if (context === undefined) return;
  let own = shown.get(context);
  if (own === undefined) shown.set(context, (own = new Map<Outcome, number>()));
  own.set(outcome, (own.get(outcome) ?? 0) + 1);
}

/** What this request's look-ups came to, as a Server-Timing field; undefined where there were none, and in production. */
export function cacheNote(context: Context): string | undefined {
  const own = shows ? shown.get(context) : undefined;
  return own && `cache;desc="${Array.from(own, ([outcome, times]) => `${outcome} ${times}`).join(", ")}"`;
}
