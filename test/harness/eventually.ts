// Waiting for a condition: the only way a test may wait. Never a fixed pause.

export interface Patience {
  /** Milliseconds after which the wait has failed. */
  readonly timeout?: number;
  /** What is waited for, for the message. */
  readonly what?: string;
}

const pauseMilliseconds = 10;
const timeoutMilliseconds = 10_000;

/**
 * Asks until `ask` answers something true, and returns it. What it throws counts as "not yet", and is in the message when time is up.
 */
export async function eventually<T>(ask: () => T | Promise<T>, patience: Patience = {}): Promise<NonNullable<T>> {
  const timeout = patience.timeout ?? timeoutMilliseconds;
  const deadline = performance.now() + timeout;
  let last: unknown;
  for (;;) {
    try {
      last = await ask();
      if (last) return last as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `${patience.what ?? "the condition"} did not come true within ${timeout} ms; last: ${show(last)}`,
        {
          cause: last,
        },
      );
    }
    await Bun.sleep(pauseMilliseconds);
  }
}

function show(last: unknown): string {
  return last instanceof Error ? last.message : (JSON.stringify(last) ?? String(last));
}
