// Waiting for a condition: the only way a test may wait. Never a fixed pause.

export interface Patience {
  /** Milliseconds after which the wait has failed. */
  readonly timeout?: number;
  /** What is waited for, for the message. */
  readonly what?: string;
}

const pauseMilliseconds = 10;
const timeoutMilliseconds = 10_000;
/** Of an answer that is due when time is up. */
const graceMilliseconds = 1_000;

const noAnswer = Symbol("no answer");

/**
 * Asks until `ask` answers something true, and returns it. What it throws counts as "not yet", and is in the message when time is up; so is
 * that the last one was never answered.
 */
export async function eventually<T>(ask: () => T | Promise<T>, patience: Patience = {}): Promise<NonNullable<T>> {
  const timeout = patience.timeout ?? timeoutMilliseconds;
  const deadline = performance.now() + timeout;
  let last: unknown;
  for (;;) {
    try {
      last = await within(ask(), deadline - performance.now());
      if (last && last !== noAnswer) return last as NonNullable<T>;
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

/** An answer that comes at once costs no timer. */
async function within<T>(answer: T | Promise<T>, milliseconds: number): Promise<T | typeof noAnswer> {
  if (!(answer instanceof Promise)) return answer;
  const late = Promise.withResolvers<typeof noAnswer>();
  const timer = setTimeout(() => late.resolve(noAnswer), Math.max(0, milliseconds) + graceMilliseconds);
  return await Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}

function show(last: unknown): string {
  if (last === noAnswer) return "no answer";
  return last instanceof Error ? last.message : (JSON.stringify(last) ?? String(last));
}
