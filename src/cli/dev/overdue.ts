/** Says what a start is waiting for when it takes long, in one line and again only when that changes. */

import type { Supervised } from "../../ops/supervised.ts";
import { formatDuration } from "../../std/units.ts";

const lookMilliseconds = 1_000;
/** A child that takes longer to be ready waits for something. */
const startMilliseconds = 5_000;

/** Looks at `children` until told to stop: what it returns. */
export function sayWhatIsOverdue(children: () => readonly Supervised[], say: (text: string) => void): () => void {
  let last = "";
  const timer = setInterval(() => {
    const text = whatIsOverdue(children());
    if (text !== "" && text !== last) say(text);
    last = text;
  }, lookMilliseconds);
  return () => clearInterval(timer);
}

/** A child, as far as it matters here. */
type Starting = Pick<Supervised, "waiting"> & { readonly plan: { readonly name: string } };

/** "not ready after 5s: app-1, app-2 (sql is down); worker (starting)", or nothing while nobody takes that long. */
export function whatIsOverdue(children: readonly Starting[]): string {
  const reasons = new Map<string, string[]>();
  for (const { plan, waiting } of children) {
    if (waiting !== undefined) reasons.set(waiting.reason, [...(reasons.get(waiting.reason) ?? []), plan.name]);
  }
  if (!children.some(({ waiting }) => waiting !== undefined && waiting.milliseconds > startMilliseconds)) return "";
  const groups = [...reasons].map(([reason, names]) => `${names.join(", ")} (${reason})`);
  return `not ready after ${formatDuration(startMilliseconds)}: ${groups.join("; ")}`;
}
