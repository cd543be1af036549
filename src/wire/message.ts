/**
 * A message as lb's middle sees it: the same whether HTTP/1.1 or another version carried it. Invariant: only what goes from end to
 * end is in it. Hop-by-hop fields, the framing and the Host line belong to a protocol's own codec (http1/), which takes them out
 * when it parses and makes its own when it serialises.
 */
import { Fields } from "./fields.ts";

/** Body lengths that are not a number of bytes. */
export const length = {
  /** There is no body, and nothing said how long one would be. */
  none: -1,
  /** There is a body, and only its end will tell. */
  unknown: -2,
} as const;

export interface RequestHead {
  readonly method: string;
  /** Host and port that the client asked for. Empty only where the protocol allows none to be sent (HTTP/1.0). */
  readonly authority: string;
  /** Path and query as they were sent, "*", or the authority again, which is all that CONNECT asks for. */
  readonly target: string;
  readonly fields: Fields;
  /** Bytes of the body, or one of `length`. */
  readonly bodyLength: number;
  /** The client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;
  /** The client will not lose fields that come after a body (RFC 9110 §10.1.4: TE: trailers). */
  readonly acceptsTrailers: boolean;
  /** Protocols that the client wants to speak instead on this connection or stream, "" for none. */
  readonly upgrade: string;
}

export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  /** Bytes of the body as declared, or one of `length`. Declared is not sent: see `hasBody`. */
  readonly bodyLength: number;
  /** False for a HEAD request and for 1xx, 204 and 304, whatever else the head says (RFC 9110 §6.4.1). */
  readonly hasBody: boolean;
  /** What 101 (Switching Protocols) switches to. */
  readonly upgrade?: string;
}

const noFields = new Fields(0);

/** A copy of a head with something in it changed. A parser is a head as well, and is not copied with it. */
export function changed(head: RequestHead, change: Partial<RequestHead>): RequestHead {
  const { method, authority, target, fields, bodyLength, expectsContinue, acceptsTrailers, upgrade } = head;
  return { method, authority, target, fields, bodyLength, expectsContinue, acceptsTrailers, upgrade, ...change };
}

/** What stays of a head when its bytes are let go. */
export function withoutFields(head: RequestHead): RequestHead {
  return changed(head, { fields: noFields });
}

/** Fields that scale adds to a message, as name, value, name, value … Names and values must already be valid. */
export type AddedFields = readonly string[];

/** Fields that are added to many messages alike. */
export class SharedFields {
  readonly fields: AddedFields;
  /** For the serialiser, to keep what it makes of them. */
  serialised: Buffer | undefined;

  constructor(fields: AddedFields) {
    this.fields = fields;
  }
}

export const nothingShared = new SharedFields([]);

/** After it the bytes of both directions are another protocol's (RFC 9110 §15.2.2). */
export const switchingProtocols = 101;

/** Asks for a connection to somewhere else: no body, and after a success no HTTP (RFC 9110 §9.3.6). */
export const connectMethod = "CONNECT";

/** Whether the bytes after this response, both ways, are another protocol's. */
export function opensTunnel(method: string, status: number): boolean {
  return status === switchingProtocols || (method === connectMethod && status >= 200 && status <= 299);
}

/** Interim responses come before the final one and never have a body (RFC 9110 §15.2). */
export function isInterim(status: number): boolean {
  return status < 200;
}

/** Methods whose effect is none (RFC 9110 §9.2.1): a request with one may be sent again. */
export function isSafe(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE";
}
