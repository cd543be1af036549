/** The clock of the hot path: read once at the top of each I/O event, so that everything the event causes has one time for free. */

/** Milliseconds since the process started, monotonic. Call `tick` where an event enters; read `clock.now` below it. */
export const clock = { now: performance.now() };

/** Reads the clock. */
export function tick(): number {
  return (clock.now = performance.now());
}
