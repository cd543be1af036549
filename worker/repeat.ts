/** A body run again and again until a signal: the rhythm of everything in a worker that is not a job. */
import { log } from "../src/ops/log.ts";
import { messageOf } from "../src/std/errors.ts";
import { pause } from "../src/std/pause.ts";

const afterFailureMs = 500;

/**
 * Runs `body`, which says how many milliseconds to pause, until the signal is aborted. A failure is logged when it begins and when it
 * is over, and tried again; it never ends the rhythm.
 */
export async function repeat(what: string, signal: AbortSignal, body: () => Promise<number>): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    let pauseMs = afterFailureMs;
    try {
      pauseMs = await body();
      if (failing) log.info({}, `${what} works again`);
      failing = false;
    } catch (error) {
      if (!failing) log.warn({}, `${what} failed and is tried again: ${messageOf(error)}`);
      failing = true;
    }
    await pause(pauseMs, signal);
  }
}
