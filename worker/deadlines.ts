/**
 * The time limits of running jobs. A timer a job is most of what a short job costs, so all jobs of one timeout share one: they run out
 * in the order they began.
 */

export interface Deadline {
  readonly dueAt: number;
  readonly late: () => void;
}

/** Timeout in ms → what waits for it, the oldest first. */
const waiting = new Map<number, Set<Deadline>>();

/** Calls `late` after so many milliseconds, unless it is cleared before. */
export function setDeadline(timeoutMs: number, late: () => void): Deadline {
  const deadline = { dueAt: performance.now() + timeoutMs, late };
  const others = waiting.get(timeoutMs);
  if (others) others.add(deadline);
  else {
    waiting.set(timeoutMs, new Set([deadline]));
    watch(timeoutMs, timeoutMs);
  }
  return deadline;
}

export function clearDeadline(timeoutMs: number, deadline: Deadline): void {
  waiting.get(timeoutMs)?.delete(deadline);
}

function watch(timeoutMs: number, delayMs: number): void {
  const timer = setTimeout(() => {
    const all = waiting.get(timeoutMs)!;
    const now = performance.now();
    for (const deadline of all) {
      if (deadline.dueAt > now) return watch(timeoutMs, deadline.dueAt - now);
      all.delete(deadline);
      deadline.late();
    }
    waiting.delete(timeoutMs);
  }, delayMs);
  timer.unref();
}
