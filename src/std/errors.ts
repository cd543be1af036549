/**
 * The one error type of scale and the table of its codes. The table drives the HTTP status, the exit code and the documentation;
 * turning an error into a response is done once per role (src/app/respond.ts, lb/respond.ts), not here.
 */

/** Whose fault it is: decides the log level and who gets to read the hint. */
export type ErrorSource = "client" | "upstream" | "operator" | "internal";

/** Whether doing the same again is safe: never, at once, or after a pause. */
export type Retry = "never" | "safe" | "after";

interface Code {
  readonly source: ErrorSource;
  readonly retry: Retry;
  /** HTTP status where a request was waiting. */
  readonly status: number;
  /** Process exit code where a command was running (0 ok, 1 run time, 2 usage, 78 configuration). */
  readonly exit: 1 | 2 | 78;
}

const client = (status: number): Code => ({ source: "client", retry: "never", status, exit: 1 });
const operator = (exit: 1 | 2 | 78): Code => ({ source: "operator", retry: "never", status: 500, exit });
const unavailable = (source: ErrorSource): Code => ({ source, retry: "after", status: 503, exit: 1 });
const upstream = (status: number): Code => ({ source: "upstream", retry: "after", status, exit: 1 });

export const errorCodes = {
  usage: operator(2),
  configuration_invalid: operator(78),
  entry_invalid: operator(78),
  store_not_configured: operator(78),
  store_unsafe: operator(78),
  address_taken: operator(78),
  directory_locked: operator(1),
  migration_failed: operator(1),
  migration_changed: operator(1),
  migrations_pending: operator(1),
  payload_invalid: operator(1),
  statement_invalid: operator(1),

  request_malformed: client(400),
  not_found: client(404),
  method_not_allowed: client(405),
  client_timeout: client(408),
  conflict: client(409),
  body_too_large: client(413),
  target_too_long: client(414),
  misdirected: client(421),
  rate_limited: { source: "client", retry: "after", status: 429, exit: 1 },
  head_too_large: client(431),
  client_gone: client(499),
  tunnel_idle: client(408),
  coding_unknown: client(501),
  version_unsupported: client(505),

  overloaded: unavailable("operator"),
  draining: unavailable("operator"),
  queue_full: unavailable("operator"),
  store_unavailable: unavailable("upstream"),
  outcome_unknown: { source: "upstream", retry: "never", status: 500, exit: 1 },
  no_target: unavailable("upstream"),
  job_stopped: unavailable("operator"),
  request_timeout: { source: "internal", retry: "after", status: 503, exit: 1 },

  upstream_unreachable: upstream(502),
  upstream_malformed: upstream(502),
  upstream_closed: upstream(502),
  upstream_timeout: upstream(504),

  illegal_transition: { source: "internal", retry: "never", status: 500, exit: 1 },
  internal: { source: "internal", retry: "never", status: 500, exit: 1 },
} as const satisfies { readonly [code: string]: Code };

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorDetails {
  /** How to fix it, addressed to the one who can. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** Seconds a client should wait before it tries again (Retry-After). */
  readonly retryAfterSeconds?: number | undefined;
}

/** An error whose message says what, where, expected and got; `hint` says how to fix it. */
export class ScaleError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ScaleError";
    this.code = code;
    this.hint = details.hint;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  get source(): ErrorSource {
    return errorCodes[this.code].source;
  }

  get retry(): Retry {
    return errorCodes[this.code].retry;
  }

  get status(): number {
    return errorCodes[this.code].status;
  }

  get exit(): 1 | 2 | 78 {
    return errorCodes[this.code].exit;
  }
}

/** The message of anything thrown, for a sentence that goes on: never undefined, never "[object Object]". */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return thrown.errors.map(messageOf).join("; ");
  if (typeof thrown === "object" && thrown !== null && "message" in thrown) {
    return `${placeOf(thrown)}${String(thrown.message) || (thrown as { name?: string }).name || "an error without a message"}`;
  }
  return typeof thrown === "string" ? thrown : (JSON.stringify(thrown) ?? String(thrown));
}

/** Where in a source file, for what Bun's parser and bundler throw (BuildMessage, ResolveMessage). */
function placeOf(thrown: object): string {
  const { position } = thrown as { position?: { file?: string; line?: number; column?: number } | null };
  return position?.file === undefined || !(position.line! > 0)
    ? ""
    : `${position.file}:${position.line}:${position.column}: `;
}

/** A failure for a person: what, and on a line of its own how to fix it. Passwords in URLs are masked by who prints it. */
export function explain(thrown: unknown): string {
  const hint = thrown instanceof ScaleError ? thrown.hint : undefined;
  return hint === undefined ? messageOf(thrown) : `${messageOf(thrown)}\nFix: ${hint}`;
}
