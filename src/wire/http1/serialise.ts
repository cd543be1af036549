/**
 * Heads and chunks as HTTP/1.1 puts them on the wire (RFC 9112), written into a buffer the caller owns. Invariant: a head is always
 * made here, from a message; no line of a peer passes without having been parsed into a field. Hot: fields that lie one after the
 * other in their source, spelt the usual way, are copied as one piece.
 */
import { putCrlf, putLine, putNumber, putText } from "../../std/put.ts";
import { type Fields, known } from "../fields.ts";
import { COLON, CR, LF, SP } from "../grammar.ts";
import { type AddedFields, length, type RequestHead, type ResponseHead, type SharedFields } from "../message.ts";

/** How the end of a message's body is shown. */
export type BodyFraming = "none" | "counted" | "chunked" | "until_close";

const reasons: { readonly [status: number]: string } = {
  100: "Continue",
  101: "Switching Protocols",
  102: "Processing",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a teapot",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
  511: "Network Authentication Required",
};

/** The registered reason phrase (RFC 9110 §15), empty for a status without one. */
export function reasonOf(status: number): string {
  return reasons[status] ?? "";
}

const statusLines: string[] = [];

function statusLine(status: number): string {
  return (statusLines[status] ??= `HTTP/1.1 ${status} ${reasonOf(status)}\r\n`);
}

/** Room that any head made from a parsed one needs: a host comes back inside two added fields, and lines gain a space each. */
export function headRoom(limits: { readonly headBytesMax: number; readonly headFieldsMax: number }): number {
  return 3 * limits.headBytesMax + limits.headFieldsMax + addedBytesMax;
}

/** Names, addresses, ids and framing that scale writes of its own, and header rules of the operator (config/services.ts bounds them). */
const addedBytesMax = 16 * 1024;

/** Request framing follows from the message alone (RFC 9112 §6.3): a request has no body that ends with the connection. */
export function requestFraming(head: RequestHead): BodyFraming {
  if (head.bodyLength === length.none) return "none";
  return head.bodyLength === length.unknown ? "chunked" : "counted";
}

/** How a client of HTTP/1.1 or 1.0 will know where the body ends. */
export function responseFraming(head: ResponseHead, minorVersion: 0 | 1): BodyFraming {
  if (head.bodyLength >= 0) return head.status === 204 ? "none" : "counted";
  if (!head.hasBody) return "none";
  return minorVersion === 1 ? "chunked" : "until_close";
}

/** Value of the Connection field, empty for none. */
export type ConnectionField = "" | "close" | "keep-alive" | "Upgrade";

/** Persistence is HTTP/1.1's default and has to be said in 1.0 (RFC 9112 §9.3). */
export function connectionField(closes: boolean, minorVersion: 0 | 1): ConnectionField {
  if (closes) return "close";
  return minorVersion === 0 ? "keep-alive" : "";
}

/** Writes a request head at `at`; returns the index after it. */
export function writeRequestHead(
  out: Buffer,
  at: number,
  head: RequestHead,
  added: AddedFields,
  shared: SharedFields,
): number {
  let next = putText(out, at, head.method);
  out[next++] = SP;
  next = putText(out, next, head.target);
  next = putText(out, next, " HTTP/1.1\r\nHost: ");
  next = putText(out, next, head.authority);
  next = putCrlf(out, next);
  next = writeFields(out, next, head.fields);
  next = writeShared(out, next, shared);
  next = writeAdded(out, next, added);
  if (head.acceptsTrailers || head.upgrade !== "") next = writeHop(out, next, head);
  return writeFraming(out, next, requestFraming(head), head.bodyLength);
}

/**
 * Writes a response head at `at`; returns the index after it. A message without body still says how long it would be (RFC 9110 §8.6: HEAD and 304).
 */
export function writeResponseHead(
  out: Buffer,
  at: number,
  head: ResponseHead,
  added: AddedFields,
  framing: BodyFraming,
  connection: ConnectionField,
): number {
  let next = putText(out, at, statusLine(head.status));
  next = writeFields(out, next, head.fields);
  next = writeAdded(out, next, added);
  if (connection !== "") next = putLine(out, next, "Connection", connection);
  if (connection === "Upgrade") next = putLine(out, next, "Upgrade", head.upgrade ?? "");
  return writeFraming(out, next, framing, head.bodyLength);
}

/** What is said of this hop alone has to be named in Connection (RFC 9110 §7.8, §10.1.4). */
function writeHop(out: Buffer, at: number, { acceptsTrailers, upgrade }: RequestHead): number {
  const next = acceptsTrailers ? putLine(out, at, "TE", "trailers") : at;
  if (upgrade === "") return putLine(out, next, "Connection", "TE");
  return putLine(
    out,
    putLine(out, next, "Upgrade", upgrade),
    "Connection",
    acceptsTrailers ? "Upgrade, TE" : "Upgrade",
  );
}

function writeFraming(out: Buffer, at: number, framing: BodyFraming, bodyLength: number): number {
  let next = at;
  if (framing === "chunked") next = putText(out, next, "Transfer-Encoding: chunked\r\n");
  else if (framing === "counted") {
    next = putText(out, next, "Content-Length: ");
    next = putNumber(out, next, bodyLength);
    next = putCrlf(out, next);
  }
  return putCrlf(out, next);
}

function writeAdded(out: Buffer, at: number, added: AddedFields): number {
  let next = at;
  for (let index = 0; index < added.length; index += 2) next = putLine(out, next, added[index]!, added[index + 1]!);
  return next;
}

function writeShared(out: Buffer, at: number, shared: SharedFields): number {
  if (shared.serialised === undefined) {
    const end = writeAdded(out, at, shared.fields);
    shared.serialised = Buffer.from(out.subarray(at, end));
    return end;
  }
  return at + shared.serialised.copy(out, at);
}

/** Copies the fields that are still in the message, runs of them at a time. */
function writeFields(out: Buffer, at: number, fields: Fields): number {
  let runStart = 0;
  let runEnd = 0;
  for (let index = 0; index < fields.count; index++) {
    if (fields.id(index) === known.dropped) continue;
    const nameStart = fields.nameStart(index);
    const isUsual = isSpeltAsUsual(fields, index);
    if (isUsual && nameStart === runEnd) {
      runEnd = fields.valueEnd(index) + 2;
      continue;
    }
    at = copyRun(out, at, fields, runStart, runEnd);
    if (isUsual) [runStart, runEnd] = [nameStart, fields.valueEnd(index) + 2];
    else {
      at = writeField(out, at, fields, index);
      runStart = runEnd = 0;
    }
  }
  return copyRun(out, at, fields, runStart, runEnd);
}

function copyRun(out: Buffer, at: number, fields: Fields, start: number, end: number): number {
  if (start === end) return at;
  return at + fields.bytes.copy(out, at, start, end);
}

/** "Name: value" with one space and CRLF right after the value, so that the source's bytes are what we would write. */
function isSpeltAsUsual(fields: Fields, index: number): boolean {
  const { bytes } = fields;
  const colon = fields.nameEnd(index);
  const valueEnd = fields.valueEnd(index);
  return (
    fields.valueStart(index) === colon + 2 &&
    bytes[colon] === COLON &&
    bytes[colon + 1] === SP &&
    bytes[valueEnd] === CR &&
    bytes[valueEnd + 1] === LF
  );
}

function writeField(out: Buffer, at: number, fields: Fields, index: number): number {
  return putLine(out, at, fields.name(index), fields.value(index));
}

/** Bytes around a chunk's data: its size in hexadecimal, two CRLFs. */
export const chunkOverheadBytesMax = 16 + 4;

/** Writes the line before a chunk of `bytes` bytes. A chunk of 0 would be the end: never ask for it. */
export function writeChunkSize(out: Buffer, at: number, bytes: number): number {
  return putCrlf(out, putText(out, at, bytes.toString(16)));
}

export const chunkEnd = Buffer.from("\r\n", "latin1");
export const lastChunk = Buffer.from("0\r\n\r\n", "latin1");

/** Room for the last chunk with these fields after it: each line gains a space at most. */
export function trailerRoom(trailers: Fields): number {
  return trailers.bytes.length + trailers.count + lastChunk.length;
}

/** The last chunk and a trailer section (RFC 9112 §7.1.2); returns the index after them. */
export function writeTrailers(out: Buffer, at: number, trailers: Fields): number {
  return putCrlf(out, writeFields(out, putText(out, at, "0\r\n"), trailers));
}
