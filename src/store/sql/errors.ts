/**
 * What goes wrong below the sql object, as one of two kinds. SqlError: PostgreSQL ran the statement and refused it; the application
 * may expect that (23505 is a duplicate). ScaleError: the statement was not run, or nobody knows; the operator has something to do.
 */
import postgres from "postgres";

import { messageOf, ScaleError } from "../../std/errors.ts";

interface Refusal {
  readonly message: string;
  readonly code: string;
  readonly constraint?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly hint?: string | undefined;
  readonly position?: number | undefined;
}

/**
 * A statement PostgreSQL refused. `code` is its SQLSTATE: catch 23505 to answer a duplicate e-mail with 409.
 * The values of the row are not in it (PostgreSQL's DETAIL is left out), so that a logged error does not carry personal data.
 */
export class SqlError extends Error {
  readonly code: string;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly hint: string | undefined;
  /** Where in the text, in characters from 1, if PostgreSQL says it. */
  readonly position: number | undefined;
  /** The statement's text with $1, $2, …, without values. */
  readonly statement: string;

  constructor(refusal: Refusal, statement: string) {
    super(`${refusal.message} (SQLSTATE ${refusal.code})`);
    this.name = "SqlError";
    this.code = refusal.code;
    this.constraint = refusal.constraint;
    this.table = refusal.table;
    this.column = refusal.column;
    this.hint = refusal.hint;
    this.position = refusal.position;
    this.statement = statement;
  }
}

/** 40001 serialization_failure and 40P01 deadlock_detected: PostgreSQL asks to run the whole transaction again. */
export function asksForRetry(error: unknown): boolean {
  return error instanceof SqlError && (error.code === "40001" || error.code === "40P01");
}

/**
 * A standby cancels a read that stands in the way of what it replays, and says 40001 too: nobody else was in the way on another server.
 */
export function isConflictWithRecovery(error: unknown): boolean {
  return error instanceof SqlError && error.code === "40001";
}

/** 25006 read_only_sql_transaction: the server was the primary, and is none any more. */
export function isNotPrimary(error: unknown): boolean {
  return error instanceof SqlError && error.code === "25006";
}

/** The server could not be reached, or went away under a statement. */
export function isLost(error: unknown): error is ScaleError {
  return error instanceof ScaleError && (error.code === "store_unavailable" || error.code === "outcome_unknown");
}

/** What a statement may have done whose answer never came. */
export type Effect = "nothing" | "unknown";

/** SQLSTATEs that say "not now" about the server rather than "no" about the statement. */
const unavailableStates: { readonly [state: string]: string } = {
  "57P01": "it is shutting down or restarting",
  "57P02": "it crashed and is recovering",
  "57P03": "it is starting up",
  "53300": "it has no connection left (max_connections)",
  "28000": "it refuses this user",
  "28P01": "it refuses this password",
  "3D000": "the database in the URL does not exist",
};

const hints: { readonly [code: string]: string } = {
  "53300": "lower --sql-pool-max or raise max_connections: every process holds up to --sql-pool-max connections",
  "28000": "check user, database and TLS (?sslmode=require) of the URL against pg_hba.conf",
  "28P01": "check user and password of the URL (--database-url, --replica-url; %-encoded)",
  "3D000": "create the database, or check the last part of the URL (--database-url, --replica-url)",
  ENOTFOUND: "check the host of the URL (--database-url, --replica-url), and this machine's DNS",
  ECONNREFUSED: "check that it runs, and that it listens on that address and port (listen_addresses, port)",
  CONNECT_TIMEOUT: "check the address of the URL, and the firewall",
};
const tlsHint =
  "check sslmode of the URL, and ssl of the server; NODE_EXTRA_CA_CERTS=FILE names an authority of your own";

const refusalHints: { readonly [state: string]: string } = {
  "25006":
    "this server takes no writes: --database-url must name the primary, or all servers (A:5432,B:5432) of which one is",
  "08P01": "a value inside quotes is no parameter: write like ${`%${word}%`}, not like '%${word}%'",
};

const reasons: { readonly [code: string]: string } = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "no such host",
  CONNECT_TIMEOUT: "no answer within the connect timeout",
  CONNECTION_CLOSED: "the connection was lost",
  CONNECTION_DESTROYED: "the connection was closed",
  CONNECTION_ENDED: "the connection was closed",
};

/** The error to throw for what the driver threw. `place` is host:port, without user and password. */
export function sqlFailure(thrown: unknown, place: string, statement: string, effect: Effect): SqlError | ScaleError {
  if (thrown instanceof ScaleError || thrown instanceof SqlError) return thrown;
  if (thrown instanceof postgres.PostgresError) return refused(thrown, place, statement, effect);
  const code = codeOf(thrown);
  const said = messageOf(thrown);
  const reason = /secure TLS connection/.test(said)
    ? "it speaks no TLS, which the URL asks for"
    : (reasons[code] ?? said);
  return gone(place, reason, code, effect);
}

function refused(
  error: postgres.PostgresError,
  place: string,
  statement: string,
  effect: Effect,
): SqlError | ScaleError {
  const reason = unavailableStates[error.code];
  // Of a user who is refused only PostgreSQL knows why: which line of pg_hba.conf, or that there is none.
  const detail = error.code === "28000" ? `: ${error.message}` : "";
  if (reason !== undefined) return gone(place, reason + detail, error.code, effect);
  const { constraint_name: constraint, table_name: table, column_name: column } = error;
  const hint = error.hint ?? refusalHints[error.code];
  const position = error.position ? Number(error.position) : undefined;
  return new SqlError(
    { message: error.message, code: error.code, constraint, table, column, hint, position },
    statement,
  );
}

/** The error to throw for a statement whose server has said nothing for so long. */
export function silent(place: string, milliseconds: number, effect: Effect): ScaleError {
  const reason = `no answer within ${milliseconds} ms, longer than any statement may take (--sql-statement-timeout)`;
  return gone(place, reason, "", effect);
}

function gone(place: string, reason: string, code: string, effect: Effect): ScaleError {
  return effect === "nothing" ? unavailable(place, reason, code) : unknownOutcome(place, reason, code);
}

function isAboutTls(reason: string): boolean {
  return /\b(TLS|SSL)\b|certificate/i.test(reason);
}

function unknownOutcome(place: string, reason: string, code: string): ScaleError {
  return new ScaleError(
    "outcome_unknown",
    `PostgreSQL at ${place} went away under a statement, which may have taken effect: ${reason}${code && ` (${code})`}`,
    { hint: "look whether it did before trying again; sql.tx with { idempotent: true } tries again by itself" },
  );
}

/** The same for a statement that changes nothing: whether it ran is nobody's concern. */
export function withoutEffect(error: unknown): unknown {
  if (!(error instanceof ScaleError) || error.code !== "outcome_unknown") return error;
  const message = error.message.replace(" under a statement, which may have taken effect", "");
  return new ScaleError("store_unavailable", message, { retryAfterSeconds: 1, cause: error });
}

function unavailable(place: string, reason: string, code: string): ScaleError {
  const suffix = code === "" ? "" : ` (${code})`;
  return new ScaleError("store_unavailable", `PostgreSQL at ${place} is unavailable: ${reason}${suffix}`, {
    hint: hints[code] ?? (isAboutTls(reason) ? tlsHint : "check that it runs and that --database-url names it"),
    retryAfterSeconds: 1,
  });
}

/** Neither the server's refusal of one statement nor ours: the connection is not to be used again. */
export function endsConnection(thrown: unknown): boolean {
  if (thrown instanceof ScaleError) return true;
  if (!(thrown instanceof postgres.PostgresError)) return true;
  return thrown.severity === "FATAL" || thrown.severity === "PANIC";
}

function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}
