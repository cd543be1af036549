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
import { BodyReader, type BodySink } from "../../src/wire/http1/body_reader.ts";
import { incomplete } from "../../src/wire/http1/head_parser.ts";
import type { RequestParser } from "../../src/wire/http1/request_parser.ts";
import {
  type BodyFraming,
  type ConnectionField,
  connectionField,
  responseFraming,
  writeResponseHead,
} from "../../src/wire/http1/serialise.ts";
import { type AddedFields, length, type ResponseHead } from "../../src/wire/message.ts";
import type { Balancer } from "../balancer.ts";
import { BodyWriter } from "../body_writer.ts";
import { Exchange } from "../exchange.ts";
import { recordRefused } from "../refused.ts";
import { errorResponse } from "../respond.ts";
import type { Peer } from "../rewrite.ts";
import type { Downstream } from "../stream.ts";
import { HeldInput } from "./held_input.ts";
import { Linger } from "./linger.ts";

const never = Number.POSITIVE_INFINITY;
const nothingAdded: AddedFields = [];

type Phase = "idle" | "head" | "exchange" | "linger" | "closed";

/** The set of open connections that this one belongs to. */
export interface Connections {
  delete(connection: Http1Downstream): void;
}

export class Http1Downstream implements Downstream, Protocol, BodySink {
  readonly peer: Peer;
  deadline: number;

  readonly #balancer: Balancer;
  readonly #socket: TcpSocket;
  readonly #queue: WriteQueue;
  readonly #writer: BodyWriter;
  readonly #connections: Connections;
  #phase: Phase = "idle";
  /** From a request's first byte to the end of its response. */
  #parser: RequestParser | undefined;
  /** Made for the first request with a body. */
  #reader: BodyReader | undefined;
  #exchange: Exchange | undefined;
  /** The request's body may be given to the exchange. */
  #isBodyWanted = false;
  /** This response is the connection's last. */
  #closesAfter = false;
  readonly #held: HeldInput;
  #isConsuming = false;
  #linger: Linger | undefined;

  constructor(balancer: Balancer, socket: TcpSocket, peer: Peer, connections: Connections) {
    this.#balancer = balancer;
    this.#socket = socket;
    this.#queue = new WriteQueue(socket, balancer.counters.sent);
    this.#writer = new BodyWriter(this.#queue);
    this.#held = new HeldInput(socket);
    this.#connections = connections;
    this.peer = peer;
    this.deadline = clock.now + balancer.config.headerTimeout;
  }

  // From the socket

  received(bytes: Buffer): void {
    this.#balancer.counters.bytesReceived += bytes.length;
    if (this.#held.isEmpty) this.#consume(bytes);
    else this.#held.hold(bytes, 0);
  }

  drained(): void {
    const hasRoom = this.#queue.flushOnDrain();
    if (this.#phase === "linger") this.#advanceLinger();
    else if (this.#phase === "exchange") this.#exchange?.downstreamDrained(hasRoom);
    else if (this.#phase !== "closed") this.#answerTaken(hasRoom);
  }

  /** A client that reads the last answer slowly is not idle. */
  #answerTaken(hasRoom: boolean): void {
    if (this.#phase === "idle") this.deadline = clock.now + this.#balancer.config.keepAliveTimeout;
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
    if (this.#phase === "exchange") this.#exchange!.expire();
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
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#phase = "closed";
    this.deadline = never;
    this.#connections.delete(this);
    exchange?.downstreamClosed();
    this.#releaseParser();
    this.#held.take();
    this.#queue.close();
    if (withReset) this.#socket.terminate();
    else this.#socket.end();
  }

  // From the exchange

  sendInterim(head: ResponseHead): void {
    if (this.#parser!.minorVersion === 0) return;
    this.#writeHead(head, nothingAdded, "none", "");
  }

  sendHead(head: ResponseHead, added: AddedFields): void {
    const { minorVersion, keepsAlive } = this.#parser!;
    const framing = responseFraming(head, minorVersion);
    const isLast = !keepsAlive || framing === "until_close" || this.#balancer.isDraining;
    this.#closesAfter = isLast || this.#exchange?.isRequestRead !== true;
    this.#writer.framing = framing;
    this.#writeHead(head, added, framing, connectionField(this.#closesAfter, minorVersion));
  }

  writeBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#writer.write(bytes, start, end);
  }

  endBody(): void {
    this.#writer.end();
    const mayComeMore = this.#parser!.keepsAlive || this.#exchange?.isRequestRead !== true;
    this.#exchange = undefined;
    this.#releaseParser();
    if (this.#closesAfter) return this.#beginLinger(mayComeMore);
    this.#phase = "idle";
    this.deadline = clock.now + this.#balancer.config.keepAliveTimeout;
    if (this.#isConsuming) return;
    this.#goOn();
    // The head may have gone out before the draining began, with no word of it.
    if (this.#balancer.isDraining) this.drain();
  }

  /** Only a length, or chunks without the last, shows that something is missing: else it takes a reset. */
  abort(): void {
    this.#exchange = undefined;
    this.#queue.flush();
    this.#end(this.#writer.framing === "until_close" || this.#queue.pendingBytes > 0);
  }

  pauseBody(): void {
    this.#held.pause();
  }

  resumeBody(): void {
    this.#isBodyWanted = true;
    if (!this.#isConsuming) this.#goOn();
  }

  // Reading

  body(bytes: Buffer, start: number, end: number): void {
    this.#exchange?.requestBody(bytes, start, end);
  }

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
      this.#parser = this.#balancer.spareParsers.take();
      this.deadline = clock.now + this.#balancer.config.headerTimeout;
    }
    const after = this.#parser!.feed(bytes, at, end);
    if (after === incomplete) return end;
    this.#beginExchange(this.#parser!);
    return after;
  }

  #beginExchange(head: RequestParser): void {
    this.#phase = "exchange";
    this.#isBodyWanted = false;
    if (head.bodyLength > 0 || head.bodyLength === length.unknown) {
      this.#reader ??= new BodyReader("request_malformed", this.#balancer.config);
      this.#reader.begin(head.bodyLength, head.bodyLength === length.unknown);
    }
    this.#exchange = new Exchange(this.#balancer, this, head);
    this.#exchange.start();
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    const exchange = this.#exchange!;
    if (exchange.isRequestRead) {
      this.#held.hold(bytes, at);
      return end;
    }
    const after = this.#reader!.feed(bytes, at, end, this);
    if (this.#reader!.isDone && this.#exchange === exchange) exchange.requestEnd();
    return after;
  }

  /** Looks at what was held, and lets more come. */
  #goOn(): void {
    const held = this.#held.take();
    this.#held.resume();
    if (held !== undefined) this.#consume(held);
  }

  // Refusing and closing

  #malformed(error: ScaleError): void {
    // Whatever follows has no certain meaning any more.
    this.#closesAfter = true;
    if (this.#exchange === undefined) this.#refuse(error);
    else this.#exchange.downstreamFailed(error);
  }

  /** Answers a request that never became an exchange. */
  #refuse(error: ScaleError): void {
    const requestId = makeRequestId();
    const { head, added, body } = errorResponse(error, undefined, requestId);
    this.#writeHead(head, added, "counted", "close");
    this.#queue.write(body, 0, body.length);
    recordRefused(requestId, this.peer, error);
    this.#releaseParser();
    this.#beginLinger(true);
  }

  #beginLinger(mayComeMore: boolean): void {
    this.#phase = "linger";
    this.#linger = new Linger(this.#socket, this.#queue, mayComeMore);
    this.#held.take();
    this.#held.resume();
    this.#queue.flush();
    this.#advanceLinger();
  }

  #advanceLinger(): void {
    const wait = this.#linger!.advance(this.#balancer.config.bodyTimeout);
    if (wait === 0) this.close();
    else this.deadline = clock.now + wait;
  }

  #drop(bytes: number): void {
    if (!this.#linger!.drop(bytes)) this.close();
  }

  #releaseParser(): void {
    if (this.#parser !== undefined) this.#balancer.spareParsers.give(this.#parser);
    this.#parser = undefined;
  }

  #writeHead(head: ResponseHead, added: AddedFields, framing: BodyFraming, connection: ConnectionField): void {
    const at = this.#queue.reserve(this.#balancer.headRoomBytes);
    this.#queue.commit(writeResponseHead(this.#queue.staged(), at, head, added, framing, connection));
  }
}
