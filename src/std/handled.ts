/** A promise nobody has to look at. In Bun one that rejects unobserved ends the process. */

/** The same promise, marked as handled: whoever awaits it still gets its error, and forgetting to await it costs only the answer. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
