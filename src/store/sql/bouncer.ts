/**
 * What a PgBouncer in transaction mode cannot do, said where it is asked for: a session, with its locks, settings and notifications, would
 * end with each transaction and come back on another server. Which URLs lead to one is std/bouncer_url.ts.
 */
import { log } from "../../ops/log.ts";
import { ScaleError } from "../../std/errors.ts";
import type { Connection } from "./connection.ts";

/** Refuses what needs a session. */
export function refuseSession(place: string): never {
  throw new ScaleError(
    "configuration_invalid",
    `this needs a session of its own, and ${place} is a PgBouncer in transaction mode (?pgbouncer=true), which keeps none`,
    {
      hint: "give this command PostgreSQL's own address: --database-url=postgres://HOST:5432/DATABASE, without pgbouncer=true",
    },
  );
}

/** PgBouncer does not carry statement_timeout, so that outside of transactions only the user's own setting bounds a statement. */
export async function warnUnlimited(connection: Connection, wantedMilliseconds: number): Promise<void> {
  const text = "select current_setting('statement_timeout') as timeout, current_user as name";
  const [row] = await connection.query<{ timeout: string; name: string }>({ text, parameters: [] });
  if (wantedMilliseconds === 0 || row!.timeout !== "0") return;
  log.warn(
    { server: connection.place },
    `PgBouncer at ${connection.place} carries no --sql-statement-timeout to single statements. ` +
      `Fix: alter role ${row!.name} set statement_timeout = '${wantedMilliseconds}ms'`,
  );
}
