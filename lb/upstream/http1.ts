/**
 * One HTTP/1.1 connection to a target, serving one request at a time (RFC 9112). Hot path: no closure, no promise, one write for a head
 * with what follows it at once.
 *
 *     dialing ─connected─▶ busy ⇄ idle ─▶ closed
 *                           └─ 101 ─▶ a tunnel's (tunnel_end.ts), closed here
 *
 * Invariant: a connection goes back to its pool only when its response has ended where it should, nothing followed it, and the whole
 * request was sent. Anything else closes it: a doubt about where one message ends is a doubt about whose the next one is.
 */
import type { Dialing, TcpSocket } from "../../src/io/connection.ts";
import { WriteQueue } from "../../src/io/write_queue.ts";
import { log } from "../../src/ops/log.ts";
import { clock } from "../../src/std/clock.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import type { Fields } from "../../src/wire/fields.ts";
import { BodyReader, type BodySink } from "../../src/wire/http1/body_reader.ts";
import { type HeadLimits, incomplete } from "../../src/wire/http1/head_parser.ts";
import { ResponseParser } from "../../src/wire/http1/response_parser.ts";
import { headRoom, requestFraming, writeRequestHead } from "../../src/wire/http1/serialise.ts";
import { type AddedFields, isInterim, length, type RequestHead, type SharedFields } from "../../src/wire/message.ts";
import { BodyWriter } from "../body_writer.ts";
import type { Progress, Upstream, UpstreamUser } from "../stream.ts";
import type { Tunnel, TunnelEnd } from "../tunnel.ts";
import { SocketEnd } from "../tunnel_end.ts";
import type { Pool } from "./pool.ts";

export type UpstreamLimits = HeadLimits;

/** 1xx responses to one request; more is an upstream gone mad. */
const interimMax = 16;

type Phase = "dialing" | "idle" | "busy" | "closed";

export class Http1Upstream implements Upstream, Dialing, BodySink {
  /** When it was last put into the pool, in milliseconds of the clock. */
  idleSince = 0;

  /** Where it goes when it is idle. */
  readonly #pool: Pool;
  readonly #parser: ResponseParser;
  readonly #reader: BodyReader;
  readonly #headRoom: number;
  #socket: TcpSocket | undefined;
  #queue: WriteQueue | undefined;
  #writer: BodyWriter | undefined;
  #user: UpstreamUser | undefined;
  #phase: Phase = "dialing";
  #isRequestSent = false;
  #isHeadRead = false;
  #sawBytes = false;
  /** It has served before. */
  #isKept = false;
  /** What its kernel had taken when the request came. */
  #takenBefore = 0;
  #interims = 0;
  #isPaused = false;
  /** What the connection became after 101. */
  #switched: SocketEnd | undefined;

  constructor(pool: Pool, limits: UpstreamLimits, user: UpstreamUser) {
    this.#pool = pool;
    this.#parser = new ResponseParser(limits);
    this.#reader = new BodyReader("upstream_malformed", limits);
    this.#headRoom = headRoom(limits);
    this.#user = user;
  }

  // Connecting

  connected(socket: TcpSocket): void {
    this.#socket = socket;
    this.#queue = new WriteQueue(socket);
    this.#writer = new BodyWriter(this.#queue);
    this.#pool.connected();
    if (this.#user !== undefined) this.attach(this.#user);
    else if (!this.#toPool()) this.close();
  }

  connectFailed(reason: string): void {
    this.#phase = "closed";
    this.#pool.notConnected(this.#user !== undefined);
    this.#user?.connectFailed(reason);
  }

  /** Starts to serve `user`. */
  attach(user: UpstreamUser): void {
    this.#isKept = this.#phase === "idle";
    this.#takenBefore = this.#queue!.takenBytes;
    this.#phase = "busy";
    this.#user = user;
    this.#isRequestSent = false;
    this.#isHeadRead = false;
    this.#sawBytes = false;
    this.#interims = 0;
    user.attached(this);
  }

  // From the user

  sendHead(head: RequestHead, added: AddedFields, shared: SharedFields): void {
    this.#parser.reset(head.method, head.upgrade);
    this.#writer!.framing = requestFraming(head);
    const queue = this.#queue!;
    const at = queue.reserve(this.#headRoom);
    queue.commit(writeRequestHead(queue.staged(), at, head, added, shared));
  }

  writeBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#writer!.write(bytes, start, end);
  }

  endBody(trailers: Fields | undefined): void {
    this.#writer!.end(trailers);
    this.#isRequestSent = true;
  }

  pauseBody(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket!.pause();
  }

  resumeBody(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket!.resume();
  }

  switchProtocols(tunnel: Tunnel): TunnelEnd {
    this.#phase = "closed";
    this.#user = undefined;
    this.#pool.switched(tunnel);
    const closed = (): void => this.#pool.tunnelClosed(tunnel);
    this.#switched = new SocketEnd({ socket: this.#socket!, queue: this.#queue!, tunnel, early: undefined, closed });
    return this.#switched;
  }

  abort(): void {
    this.#user = undefined;
    // A connection that is still being made is of use to the next request.
    if (this.#phase === "dialing") this.#pool.givenUp();
    else this.#end(true);
  }

  /** Ends a connection on which nothing is under way. */
  close(): void {
    this.#end(false);
  }

  /** With a reset the target learns at once that nobody waits for its answer. */
  #end(withReset: boolean): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#pool.open--;
    this.#queue!.close();
    if (withReset) this.#socket!.terminate();
    else this.#socket!.end();
  }

  // From the socket

  received(bytes: Buffer): void {
    if (this.#phase === "busy") {
      this.#sawBytes = true;
      try {
        this.#consume(bytes);
      } catch (error) {
        this.#fail(error);
      }
    } else if (this.#phase === "idle") {
      // Nothing was asked: a late 408, or an answer that belongs to nobody.
      this.#pool.remove(this);
      this.close();
    }
  }

  drained(): void {
    this.#user?.upstreamDrained(this.#queue!.flushOnDrain());
  }

  ended(): void {
    if (this.#phase === "busy" && this.#isHeadRead && this.#reader.endsWithConnection) this.#completed(false);
    else this.#disconnected("the connection ended");
  }

  closed(error: Error | undefined): void {
    if (this.#phase !== "closed") this.#disconnected(error === undefined ? "the connection closed" : messageOf(error));
  }

  failed(error: unknown): void {
    log.error({ error }, `upstream connection failed: ${messageOf(error)}`);
    this.#disconnected("internal error");
  }

  // Reading

  #consume(bytes: Buffer): void {
    const end = bytes.length;
    let at = 0;
    while (at < end && this.#phase === "busy") {
      at = this.#isHeadRead ? this.#reader.feed(bytes, at, end, this) : this.#readHead(bytes, at, end);
      if (this.#isHeadRead && this.#reader.isDone && this.#phase === "busy") return this.#completed(at === end);
    }
    if (at < end) this.#switched?.received(bytes.subarray(at));
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    const parser = this.#parser;
    const after = parser.feed(bytes, at, end);
    if (after === incomplete) return end;
    if (isInterim(parser.status)) {
      this.#interim();
      return after;
    }
    this.#isHeadRead = true;
    this.#reader.begin(parser.hasBody ? parser.bodyLength : length.none, parser.isChunked);
    this.#user!.responseHead(parser);
    parser.release();
    return after;
  }

  #interim(): void {
    const parser = this.#parser;
    if (++this.#interims > interimMax) {
      throw new ScaleError("upstream_malformed", `more than ${interimMax} interim responses came`);
    }
    this.#user!.responseInterim(parser);
    parser.release();
  }

  body(bytes: Buffer, start: number, end: number): void {
    this.#user?.responseBody(bytes, start, end);
  }

  /** Back into the pool first: what the user does next may need a connection. */
  #completed(nothingFollowed: boolean): void {
    const user = this.#user;
    this.#user = undefined;
    const isRequestGone = this.#isRequestSent && this.#queue!.pendingBytes === 0;
    const mayServeAgain = this.#parser.keepsAlive && isRequestGone && nothingFollowed;
    if (!mayServeAgain || !this.#toPool()) this.close();
    user?.responseEnd(this.#reader.trailers);
    this.#reader.release();
  }

  #toPool(): boolean {
    this.resumeBody();
    this.#phase = "idle";
    this.idleSince = clock.now;
    return this.#pool.release(this);
  }

  #disconnected(reason: string): void {
    if (this.#phase === "idle") this.#pool.remove(this);
    this.#fail(new ScaleError("upstream_closed", reason));
  }

  #fail(thrown: unknown): void {
    const user = this.#user;
    const progress = this.#progress();
    this.#user = undefined;
    this.close();
    if (user === undefined) return;
    if (thrown instanceof ScaleError) user.upstreamFailed(thrown, progress);
    else {
      log.error({ error: thrown }, `handling a response failed: ${messageOf(thrown)}`);
      user.upstreamFailed(new ScaleError("internal", messageOf(thrown), { cause: thrown }), "begun");
    }
  }

  #progress(): Progress {
    if (this.#sawBytes) return "begun";
    if (this.#queue!.takenBytes === this.#takenBefore) return "unsent";
    return this.#isKept ? "stale" : "unanswered";
  }
}
