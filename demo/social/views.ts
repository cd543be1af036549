/**
 * Counting views without a write per read: a process adds up what it served and writes the sums once a second, so that a post read a
 * thousand times costs one update. A process that is killed loses at most that second; a view is worth no more.
 */
import { log, sql } from "scale";

const flushEveryMs = 1_000;
const postsPendingMax = 10_000;

let pending = new Map<string, number>();
let flushing: Promise<void> | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

export function countView(post: string): void {
  if (pending.size >= postsPendingMax && !pending.has(post)) return;
  pending.set(post, (pending.get(post) ?? 0) + 1);
  timer ??= setTimeout(() => void flushViews(), flushEveryMs);
}

/** Writes what is pending; called once more when the process stops. */
export async function flushViews(): Promise<void> {
  await flushing;
  clearTimeout(timer);
  timer = undefined;
  if (pending.size === 0) return;
  const counted = pending;
  pending = new Map();
  flushing = add(counted).catch((error: unknown) => log.warn({ error, posts: counted.size }, "views were not counted"));
  await flushing;
}

/** Two processes may update the same posts in another order; a deadlock makes one of them run again. */
function add(counted: ReadonlyMap<string, number>): Promise<void> {
  return sql.tx(async (tx) => {
    await tx.write`
      update posts set views = posts.views + counted.views
      from unnest(${[...counted.keys()]}::bigint[], ${[...counted.values()]}::integer[]) as counted (id, views)
      where posts.id = counted.id`;
  });
}
