/**
 * The shapes that meet in an exchange: a downstream and an upstream, each a source of one body and a sink of the other, whatever
 * protocol is spoken on the wire. N + M protocols fit together here, none knows another.
 *
 * Bytes travel as (bytes, start, end): a view without the cost of making one. A sink copies what it cannot pass on at once.
 */
import type { ScaleError } from "../src/std/errors.ts";
import type { Fields } from "../src/wire/fields.ts";
import type { AddedFields, RequestHead, ResponseHead, SharedFields } from "../src/wire/message.ts";
import type { Peer } from "./rewrite.ts";
import type { Tunnel, TunnelEnd } from "./tunnel.ts";

/** Where body bytes come from. Pausing is a wish: what was already read still arrives. */
export interface BodySource {
  pauseBody(): void;
  resumeBody(): void;
}

/** Where body bytes go. */
export interface BodySink {
  /** False: full. The sink's owner is told when it has drained. */
  writeBody(bytes: Buffer, start: number, end: number): boolean;
  /** `trailers` come after the body where the protocol can carry them; they are fit to be passed on, and valid during the call only. */
  endBody(trailers: Fields | undefined): void;
}

/** One request of a client, to be answered. Its body is paused until the first `resumeBody`. */
export interface Downstream extends BodySource, BodySink {
  readonly peer: Peer;
  /** Waits for the client to send or to take something: the user's `expire` is called when patience.ts says so. */
  awaitClient(): void;
  /** Waits for the target: the user's `expire` is called after so many milliseconds. */
  awaitTarget(milliseconds: number): void;
  /** 1xx. Not sent where the client's version has none. */
  sendInterim(head: ResponseHead): void;
  sendHead(head: ResponseHead, added: AddedFields): void;
  /** Answers with 101; what follows, both ways, is the tunnel's. */
  switchProtocols(head: ResponseHead, added: AddedFields, tunnel: Tunnel): TunnelEnd;
  /** Ends the response where it is, so that the client can tell that it is not whole. */
  abort(): void;
}

/** Who uses a downstream. */
export interface DownstreamUser {
  /** Whether the request's body has come to its end: else the connection cannot serve another request. */
  readonly isRequestRead: boolean;
  requestBody(bytes: Buffer, start: number, end: number): void;
  /** `trailers` as they came, valid during the call only; undefined if there were none. */
  requestEnd(trailers: Fields | undefined): void;
  /** The client took some of what waits for it. `hasRoom`: the source may go on. */
  downstreamDrained(hasRoom: boolean): void;
  /** The client is gone. */
  downstreamClosed(): void;
  /** The request turned out to be malformed after its head. */
  downstreamFailed(error: ScaleError): void;
  /** Nothing came from who was waited for. */
  expire(): void;
}

/** One request on its way to a target, and its response. */
export interface Upstream extends BodySource, BodySink {
  sendHead(head: RequestHead, added: AddedFields, shared: SharedFields): void;
  /** After 101: what follows, both ways, is the tunnel's. */
  switchProtocols(tunnel: Tunnel): TunnelEnd;
  /** Gives the request up; the user hears no more of it. */
  abort(): void;
}

/** How far a request came on a connection that failed. */
export type Progress =
  /** The kernel took not a byte of it. */
  | "unsent"
  /** No byte of a response, on a connection that had served before: most likely it was closed while nothing was under way. */
  | "stale"
  /** No byte of a response, on a new connection: nobody knows how far the target came with it. */
  | "unanswered"
  /** A response had begun. */
  | "begun";

/** Who uses an upstream: an exchange, or a health check. */
export interface UpstreamUser {
  /** Connected: send the head. */
  attached(upstream: Upstream): void;
  connectFailed(reason: string): void;
  /** 101 is the last there is, and comes only to who asked for it: what comes next waits for `switchProtocols`. */
  responseInterim(head: ResponseHead): void;
  /** The head is valid during the call only. */
  responseHead(head: ResponseHead): void;
  responseBody(bytes: Buffer, start: number, end: number): void;
  /** `trailers` as they came, valid during the call only; undefined if there were none. */
  responseEnd(trailers: Fields | undefined): void;
  /** No response, or not all of it. */
  upstreamFailed(error: ScaleError, progress: Progress): void;
  /** The target took some of what waits for it. `hasRoom`: the source may go on. */
  upstreamDrained(hasRoom: boolean): void;
}
