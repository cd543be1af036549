/** The driver's client behind one connection: of size one, without a pool, timers and types of its own. What is sent on it is connection.ts'. */
import postgres from "postgres";

import { isBouncer, withoutBouncer } from "../../std/bouncer_url.ts";
import { messageOf, ScaleError } from "../../std/errors.ts";
import { types } from "./types.ts";

export interface ConnectionOptions {
  readonly applicationName: string;
  /** Refuse a server that accepts no writes: its URL is one of several. */
  readonly mustBePrimary?: boolean;
  /** Milliseconds; 0 is never. */
  readonly statementTimeout: number;
  /** Called with the payload of every notification, on a connection that listens. */
  readonly onNotify?: (payload: string) => void;
}

const connectTimeoutSeconds = 3;
/** Where there is another server to try. */
const connectTimeoutSecondsOfMany = 1;
/** Throws configuration_invalid where the URL cannot be read. */
export function openClient(url: string, options: ConnectionOptions, onclose: () => void): postgres.Sql {
  const { onNotify, applicationName, statementTimeout } = options;
  // Known to the driver and not to its types.
  const hearing = onNotify ? { onnotify: (_: string, payload: string) => onNotify(payload) } : {};
  try {
    return postgres(withoutBouncer(url), {
      ...hearing,
      max: 1,
      types,
      // A round trip per connection for user-defined types, which stay text without it.
      fetch_types: false,
      connect_timeout: options.mustBePrimary ? connectTimeoutSecondsOfMany : connectTimeoutSeconds,
      // The driver's timers see neither our transactions nor our pool.
      idle_timeout: 0,
      max_lifetime: null,
      backoff: () => 0,
      onnotice: () => undefined,
      onclose,
      // PgBouncer refuses a parameter that it does not carry from server to server.
      connection: {
        application_name: applicationName,
        ...(isBouncer(url) ? {} : { statement_timeout: statementTimeout }),
      },
    });
  } catch (error) {
    throw new ScaleError("configuration_invalid", `the database URL cannot be read: ${withoutUrl(error, url)}`, {
      hint: "--database-url=postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    });
  }
}

/** A parser's complaint may quote the URL, and the URL has a password. */
function withoutUrl(error: unknown, url: string): string {
  return messageOf(error).replaceAll(url, "(not shown)");
}
