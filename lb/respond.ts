/** The balancer's own answers: one function from error to response. Short, without a version, without a target's address. */
import { type ErrorCode, errorCodes, type ScaleError } from "../src/std/errors.ts";
import { Fields, known } from "../src/wire/fields.ts";
import type { AddedFields, RequestHead, ResponseHead } from "../src/wire/message.ts";

export interface LocalResponse {
  readonly head: ResponseHead;
  readonly added: AddedFields;
  readonly body: Buffer;
}

const noFields = new Fields(0);

/** What a client is told where the error's own message would show how things are inside. */
const publicMessages: { readonly [C in ErrorCode]?: string } = {
  no_target: "no application server is available",
  upstream_unreachable: "the application server could not be reached",
  upstream_malformed: "the application server sent an invalid response",
  upstream_closed: "the application server ended the connection before it had answered",
  upstream_timeout: "the application server did not answer in time",
  overloaded: "too many requests at once",
  draining: "this server is shutting down",
  internal: "the balancer failed to handle this request",
};

const retryAfterSeconds = 1;

/** `request` is undefined where its head could not be read. */
export function errorResponse(error: ScaleError, request: RequestHead | undefined, requestId: string): LocalResponse {
  const { code, status } = error;
  const message = errorCodes[code].source === "client" ? error.message : (publicMessages[code] ?? code);
  const isJson = wantsJson(request);
  const text = isJson
    ? `${JSON.stringify({ error: { code, message, request: requestId } })}\n`
    : `${status} ${message}\nrequest ${requestId}\n`;
  const body = Buffer.from(text);
  const added = [
    "Content-Type",
    isJson ? "application/json" : "text/plain; charset=utf-8",
    "Cache-Control",
    "no-store",
    "Date",
    new Date().toUTCString(),
  ];
  if (status === 503 || status === 429) added.push("Retry-After", String(error.retryAfterSeconds ?? retryAfterSeconds));
  const hasBody = request?.method !== "HEAD";
  return { head: { status, fields: noFields, bodyLength: body.length, hasBody }, added, body };
}

/** JSON for who names it in Accept; text for browsers, and for curl's "any type". */
function wantsJson(request: RequestHead | undefined): boolean {
  return request?.fields.join(known.accept)?.includes("json") === true;
}
