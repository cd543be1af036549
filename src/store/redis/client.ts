/**
 * From a URL to a client of the driver: of one server, or of the primary that Sentinels name. The only file that constructs one. Living with
 * it is connection.ts.
 */
import { Redis, type RedisOptions as ClientOptions } from "ioredis";

import { withDeadline } from "../../std/deadline.ts";
import { addressOf, isSentinelUrl, parseSentinelUrl } from "../../std/redis_url.ts";

export const connectTimeoutMs = 2_000;
/** A question by itself is asked of another server after this long. */
const questionTimeoutMs = 1_000;

/** Through Sentinels, the driver asks them for the primary with every connection, and leaves one that they have replaced. */
export function makeClient(url: string, options: Omit<ClientOptions, "replyMapping">): Redis {
  if (!isSentinelUrl(url)) return new Redis(url, options);
  const { sentinels, name, tls, username, password, sentinelUsername, sentinelPassword } = parseSentinelUrl(url);
  return new Redis({
    ...options,
    sentinels: [...sentinels],
    name,
    failoverDetector: true,
    sentinelCommandTimeout: connectTimeoutMs,
    ...(tls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  });
}

/** Where a connected client is. */
export function serverOf(client: Redis): string {
  const { remoteAddress: host = "", remotePort: port = 0 } = client.stream;
  return addressOf({ host, port });
}

/** Which servers a URL names, for people: without its password. */
export function placeOf(url: string): string {
  if (isSentinelUrl(url)) {
    const { name, sentinels } = parseSentinelUrl(url);
    return `${name} of the Sentinels ${sentinels.map(({ host, port }) => `${host}:${port}`).join(", ")}`;
  }
  return URL.canParse(url) ? new URL(url).host : "an unreadable address";
}

/** One question on a connection of its own, which is never tried again. */
export async function askOnce<T>(url: string, name: string, question: (client: Redis) => Promise<T>): Promise<T> {
  let reason: unknown;
  const client = makeClient(url, {
    connectionName: name,
    connectTimeout: questionTimeoutMs,
    retryStrategy: () => null,
    enableAutoPipelining: false,
  });
  client.on("error", (error: Error) => (reason = error));
  try {
    return await withDeadline(question(client), questionTimeoutMs, () => new Error("no answer"));
  } catch (error) {
    throw reason ?? error;
  } finally {
    client.disconnect();
  }
}
