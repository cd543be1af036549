/** From what a handler returned or threw to a Response: the one place of role app where errors become statuses. */
import { HttpError } from "../runtime/http_error.ts";
import { JsonText } from "../runtime/json_text.ts";
import { ScaleError } from "../std/errors.ts";

const jsonType = "application/json; charset=utf-8";
const asJson = { headers: { "content-type": jsonType } };

/** A Response is sent as it is, JsonText as what it holds, everything else as JSON. */
export function toResponse(value: unknown): Response {
  if (value instanceof Response) return value;
  return value instanceof JsonText ? new Response(value.body, asJson) : Response.json(value, asJson);
}

/**
 * { error: { code, message, …details } }. Only what the client may know: a fault of ours says no more than the request's id, under
 * which the log has the rest.
 */
export function errorResponse(error: unknown, requestId: string): Response {
  if (error instanceof HttpError) {
    const { code = codeOf(error.status), headers, ...rest } = error.details;
    return body(error.status, { code, message: error.message, ...rest }, headers);
  }
  const status = error instanceof ScaleError ? error.status : 500;
  const code = error instanceof ScaleError && status !== 500 ? error.code : "internal";
  const message = error instanceof ScaleError && error.source === "client" ? error.message : generic(status);
  const retryAfter =
    error instanceof ScaleError && error.retry === "after"
      ? { "retry-after": String(error.retryAfterSeconds ?? 1) }
      : undefined;
  return body(status, { code, message, request: requestId }, retryAfter);
}

/** Whether the log should speak of it as a fault, with its stack. */
export function isFault(error: unknown): boolean {
  if (error instanceof HttpError) return error.status >= 500;
  return !(error instanceof ScaleError) || error.source !== "client";
}

/** The code that access log and metrics show. */
export function errorCode(error: unknown): string {
  if (error instanceof ScaleError) return error.code;
  if (!(error instanceof HttpError)) return "internal";
  // An application in JavaScript may have given anything.
  const code: unknown = error.details.code ?? codeOf(error.status);
  return String(code);
}

function body(status: number, error: Parameters<typeof textOf>[0], headers?: HeadersInit): Response {
  const init = { status, headers: { "content-type": jsonType, "cache-control": "no-store" } };
  const response = new Response(textOf(error), init);
  if (headers) for (const [name, value] of new Headers(headers)) response.headers.set(name, value);
  return response;
}

function generic(status: number): string {
  return status === 503
    ? "The service cannot answer this right now. Try again shortly."
    : "Something went wrong on our side.";
}

const codes: { readonly [status: number]: string } = {
  400: "bad_request",
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  409: "conflict",
  413: "body_too_large",
  422: "invalid",
  429: "rate_limited",
  503: "unavailable",
};

function codeOf(status: number): string {
  return codes[status] ?? (status < 500 ? "request_failed" : "internal");
}

/** Details that JSON cannot carry (a circle) must not turn an answer into a fault: they are left out, and a bigint becomes text. */
function textOf(error: { readonly code: unknown; readonly message: string; readonly [key: string]: unknown }): string {
  const carried = (_key: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
  try {
    return JSON.stringify({ error }, carried);
  } catch {
    return JSON.stringify({ error: { code: String(error.code), message: error.message } });
  }
}
