/**
 * One HTTP/1.1 connection of a client, serving its requests one after the other, in order (RFC 9112 §9.3.2). Hot path: no closure, no
 * promise; a request that comes in one piece is parsed where it lies and its response leaves in one write.
 *
 *     idle ─first byte─▶ head ─complete─▶ exchange ─answered and read to its end─▶ idle
 *      │                   │                  ├─ answered, to be closed ─▶ linger ─▶ closed
 *      └─ time, drain      └─ malformed ──────┘
 *
 * Invariants: the next request is not looked at before the one before it has been answered and read; what comes meanwhile is held,
 * and the socket paused, so it is bounded by one read. After an error in a request nothing more of the connection is interpreted.
 */
import type { Protocol, TcpSocket } from "../../src/io/connection.ts";
import { WriteQueue } from "../../src/io/write_queue.ts";
import { log } from "../../src/ops/log.ts";
import { clock } from "../../src/std/clock.ts";
import { messageOf, ScaleError } from "../../src/std/errors.ts";
import { makeRequestId } from "../../src/std/request_id.ts";
import type { Fields } from "../../src/wire/fields.ts";
import { incomplete } from "../../src/wire/http1/head_parser.ts";
import { type AddedFields, connectMethod, type ResponseHead } from "../../src/wire/message.ts";
import type { Balancer } from "../balancer.ts";
import type { Connection, Connections } from "../connections.ts";
import { Exchange } from "../exchange.ts";
import { Patience } from "../patience.ts";
import { recordRefused } from "../refused.ts";
import { errorResponse } from "../respond.ts";
import type { Peer } from "../rewrite.ts";
import type { Downstream, DownstreamUser } from "../stream.ts";
import type { Tunnel, TunnelEnd } from "../tunnel.ts";
import { SocketEnd } from "../tunnel_end.ts";
import { Answer } from "./answer.ts";
import { HeldInput } from "./held_input.ts";
import { Linger } from "./linger.ts";
import { RequestReader } from "./request_reader.ts";

const never = Number.POSITIVE_INFINITY;

type Phase = "idle" | "head" | "exchange" | "linger" | "closed";

export class Http1Downstream implements Downstream, Protocol, Connection {
  readonly peer: Peer;
  deadline: number;

  readonly #balancer: Balancer;
  readonly #socket: TcpSocket;
  readonly #queue: WriteQueue;
  readonly #answer: Answer;
  readonly #patience: Patience;
  readonly #connections: Connections;
  #phase: Phase = "idle";
  readonly #reader: RequestReader;
  #user: DownstreamUser | undefined;
  /** The request's body may be given to its user. */
  #isBodyWanted = false;
  #requests = 0;
  readonly #held: HeldInput;
  #isConsuming = false;
  #linger: Linger | undefined;

  constructor(balancer: Balancer, socket: TcpSocket, peer: Peer, connections: Connections) {
    this.#balancer = balancer;
    this.#socket = socket;
    this.#queue = new WriteQueue(socket, balancer.counters.sent);
    this.#answer = new Answer(balancer, this.#queue);
    this.#patience = new Patience(balancer.config);
    this.#reader = new RequestReader(balancer, this.#patience);
    this.#held = new HeldInput(socket);
    this.#connections = connections;
    this.peer = peer;
    this.deadline = clock.now + balancer.config.headerTimeout;
  }

  // From the socket

  received(bytes: Buffer): void {
    this.#balancer.counters.received.bytes += bytes.length;
    if (this.#held.isEmpty) this.#consume(bytes);
    else this.#held.hold(bytes, 0);
  }

  drained(): void {
    const before = this.#queue.pendingBytes;
    const hasRoom = this.#queue.flushOnDrain();
    this.#patience.earn(before - this.#queue.pendingBytes, clock.now);
    if (this.#phase === "linger") this.#advanceLinger();
    else if (this.#phase === "exchange") this.#user?.downstreamDrained(hasRoom);
    else if (this.#phase !== "closed") this.#answerTaken(hasRoom);
  }

  /** A client that still takes the last answer is not idle, and has as much time for it as for any other. */
  #answerTaken(hasRoom: boolean): void {
    if (this.#phase === "idle") {
      if (this.#queue.pendingBytes > 0) this.awaitClient();
      else this.deadline = clock.now + this.#balancer.config.keepAliveTimeout;
    }
    if (hasRoom) this.#goOn();
  }

  /** A client that ends its side has left: half-closed clients are rare, and a request nobody waits for holds a target. */
  ended(): void {
    if (this.#phase === "exchange") this.close();
    else if (this.#phase !== "closed") this.#beginLinger(false);
  }

  closed(): void {
    this.close();
  }

  failed(error: unknown): void {
    log.error({ error }, `client connection failed: ${messageOf(error)}`);
    this.close();
  }

  // From whoever looks after connections

  /** The deadline has passed. */
  expire(): void {
    if (this.#phase === "exchange") this.#user!.expire();
    else if (this.#phase === "head")
      this.#refuse(new ScaleError("client_timeout", "the request head did not complete"));
    else this.close();
  }

  /** Closes the connection if no request is under way and what was answered has been sent. */
  drain(): void {
    if (this.#phase === "idle" && this.#held.isEmpty) this.#beginLinger(false);
  }

  /** Ends the connection and, if its response was not whole, the exchange. What the kernel has still goes out. */
  close(): void {
    this.#end(false);
  }

  #end(withReset: boolean): void {
    if (this.#phase === "closed") return;
    const user = this.#user;
    this.#user = undefined;
    this.#phase = "closed";
    this.deadline = never;
    this.#connections.delete(this);
    user?.downstreamClosed();
    this.#reader.release();
    this.#held.take();
    // A whole answer may be staged still: this turn of the loop has not ended.
    this.#queue.flush();
    this.#queue.close();
    if (withReset) this.#socket.terminate();
    else this.#socket.end();
  }

  // From the exchange

  awaitClient(): void {
    this.deadline = this.#patience.wait(clock.now);
  }

  awaitTarget(milliseconds: number): void {
    this.#patience.stop(clock.now);
    this.deadline = clock.now + milliseconds;
  }

  sendInterim(head: ResponseHead): void {
    this.#answer.interim(head, this.#reader.head);
  }

  sendHead(head: ResponseHead, added: AddedFields): void {
    this.#patience.renew();
    const request = this.#reader.head;
    const isUsedUp = this.#requests >= this.#balancer.config.requestsPerConnectionMax;
    // What follows a CONNECT that is refused may be meant for the tunnel: it must not be read as requests.
    const mayPersist = this.#isRequestRead && !isUsedUp && request.method !== connectMethod;
    this.#answer.head(head, added, request, mayPersist);
  }

  switchProtocols(head: ResponseHead, added: AddedFields, tunnel: Tunnel): TunnelEnd {
    this.#answer.switching(head, added);
    this.#user = undefined;
    this.#phase = "closed";
    this.#reader.release();
    this.#connections.delete(this);
    this.#connections.add(tunnel);
    const { received } = this.#balancer.counters;
    const [socket, queue, early] = [this.#socket, this.#queue, this.#held.take()];
    return new SocketEnd({ socket, queue, tunnel, early, received, closed: () => this.#connections.delete(tunnel) });
  }

  writeBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#answer.body(bytes, start, end);
  }

  endBody(trailers: Fields | undefined): void {
    this.#answer.end(trailers);
    const mayComeMore = this.#reader.head.keepsAlive || !this.#isRequestRead;
    this.#user = undefined;
    this.#reader.release();
    if (this.#answer.isLast) return this.#beginLinger(mayComeMore);
    this.#phase = "idle";
    // Much of the response may be waiting for the client still.
    if (this.#queue.isFull) this.awaitClient();
    else this.deadline = clock.now + this.#balancer.config.keepAliveTimeout;
    if (this.#isConsuming) return;
    this.#goOn();
    // The head may have gone out before the draining began, with no word of it.
    if (this.#balancer.isDraining) this.drain();
  }

  get #isRequestRead(): boolean {
    return this.#user?.isRequestRead === true;
  }

  /** Where nothing else shows that the response is not whole, it takes a reset. */
  abort(): void {
    this.#user = undefined;
    this.#queue.flush();
    this.#end(!this.#answer.showsItsEnd);
  }

  pauseBody(): void {
    this.#held.pause();
  }

  resumeBody(): void {
    this.#isBodyWanted = true;
    if (!this.#isConsuming) this.#goOn();
  }

  // Reading

  #consume(bytes: Buffer): void {
    this.#isConsuming = true;
    try {
      this.#interpret(bytes);
    } catch (error) {
      if (!(error instanceof ScaleError) || error.source !== "client") throw error;
      this.#malformed(error);
    } finally {
      this.#isConsuming = false;
    }
  }

  #interpret(bytes: Buffer): void {
    const end = bytes.length;
    let at = 0;
    while (at < end) {
      switch (this.#phase) {
        case "idle":
        case "head":
          // A client that sends requests and reads no answers waits until it has.
          if (this.#queue.isFull) return this.#held.hold(bytes, at);
          at = this.#readHead(bytes, at, end);
          break;
        case "exchange":
          if (!this.#isBodyWanted) return this.#held.hold(bytes, at);
          at = this.#readBody(bytes, at, end);
          break;
        case "linger":
          return this.#drop(end - at);
        case "closed":
          return;
      }
    }
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    if (this.#phase === "idle") {
      this.#phase = "head";
      this.#reader.begin();
      this.deadline = clock.now + this.#balancer.config.headerTimeout;
    }
    const after = this.#reader.feedHead(bytes, at, end);
    if (after === incomplete) return end;
    this.#beginExchange();
    return after;
  }

  #beginExchange(): void {
    this.#phase = "exchange";
    this.#isBodyWanted = false;
    this.#requests++;
    this.#patience.renew();
    const exchange = new Exchange(this.#balancer, this, this.#reader.head);
    this.#user = exchange;
    this.#reader.beginBody(exchange);
    exchange.start();
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    if (!this.#isRequestRead) return this.#reader.feedBody(bytes, at, end);
    this.#held.hold(bytes, at);
    return end;
  }

  /** Looks at what was held, and lets more come. */
  #goOn(): void {
    const held = this.#held.take();
    this.#held.resume();
    if (held !== undefined) this.#consume(held);
  }

  // Refusing and closing

  #malformed(error: ScaleError): void {
    if (this.#user === undefined) this.#refuse(error);
    else this.#user.downstreamFailed(error);
  }

  /** Answers a request that never became an exchange. */
  #refuse(error: ScaleError): void {
    const requestId = makeRequestId();
    this.#answer.refusal(errorResponse(error, undefined, requestId));
    recordRefused(requestId, this.peer, error);
    this.#reader.release();
    this.#beginLinger(true);
  }

  #beginLinger(mayComeMore: boolean): void {
    this.#phase = "linger";
    this.#linger = new Linger(this.#socket, mayComeMore);
    this.#held.take();
    this.#held.resume();
    this.#queue.flush();
    this.#advanceLinger();
  }

  #advanceLinger(): void {
    if (this.#queue.pendingBytes > 0) return this.awaitClient();
    const wait = this.#linger!.advance();
    if (wait === 0) this.close();
    else this.deadline = clock.now + wait;
  }

  #drop(bytes: number): void {
    if (!this.#linger!.drop(bytes)) this.close();
  }
}
