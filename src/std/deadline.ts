/** A limit on how long one waits for a promise. The work itself is not stopped: whoever can cancel it takes an AbortSignal instead. */

/**
 * Settles like `work`, or rejects with `expired()` once `milliseconds` have passed. A loop that was blocked runs its timers before it reads
 * what has arrived meanwhile: so that nobody is called late for our own delay, the rejection waits for one more turn of it.
 */
export function withDeadline<T>(work: Promise<T>, milliseconds: number, expired: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => reject(expired())), milliseconds);
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
