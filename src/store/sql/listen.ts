/** NOTIFY as it is heard: on a connection of its own, outside the pool, because what is heard belongs to a connection. */
import { Connection } from "./connection.ts";
import type { SqlOptions } from "./sql.ts";

/**
 * Calls `heard` once it listens, for what was said before, and with every notification's payload. Resolves when the signal is
 * aborted or the connection is lost, and rejects where it could not begin: the caller begins again, and looks meanwhile.
 */
export async function listen(
  url: string,
  options: SqlOptions,
  channel: string,
  heard: (payload: string | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const lost = Promise.withResolvers<void>();
  const connection = new Connection(url, { ...options, onNotify: heard }, () => lost.resolve());
  const stop = () => void connection.close(0);
  signal.addEventListener("abort", stop, { once: true });
  try {
    await connection.script(`listen ${channel}`);
    heard(undefined);
    await lost.promise;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    await connection.close(0);
  }
}
