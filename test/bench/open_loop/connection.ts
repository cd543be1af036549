// One kept-alive connection of an open loop: a request at a time, its answer read by the same code that role lb reads answers with.

import type { Dialing, TcpSocket } from "../../../src/io/connection.ts";
import { connect } from "../../../src/io/connector.ts";
import { BodyReader, type BodySink } from "../../../src/wire/http1/body_reader.ts";
import { incomplete } from "../../../src/wire/http1/head_parser.ts";
import { ResponseParser } from "../../../src/wire/http1/response_parser.ts";
import { length } from "../../../src/wire/message.ts";

/** The loop that a connection belongs to. */
export interface LoopOwner {
  /** It has nothing in flight. */
  ready(connection: LoopConnection): void;
  /** A request that was planned for then (performance.now) has been answered with a status below 400. */
  answered(plannedAt: number): void;
  failed(reason: string): void;
}

const limits = { headBytesMax: 32 * 1024, headFieldsMax: 100, targetBytesMax: 8 * 1024 };
const nothingInFlight = -1;

export class LoopConnection implements Dialing, BodySink {
  readonly #owner: LoopOwner;
  readonly #address: { readonly host: string; readonly port: number };
  readonly #request: Buffer;
  readonly #parser = new ResponseParser(limits);
  readonly #reader = new BodyReader("upstream_malformed", limits);
  #socket: TcpSocket | undefined;
  #isHeadRead = false;
  #isClosed = false;
  #plannedAt = nothingInFlight;

  constructor(url: URL, owner: LoopOwner) {
    this.#owner = owner;
    this.#address = { host: url.hostname, port: Number(url.port || 80) };
    this.#request = Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
  }

  open(): void {
    connect(this.#address, this);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.end();
  }

  /** A request is a few hundred bytes on a connection that has nothing in flight: the kernel takes it whole. */
  send(plannedAt: number): void {
    this.#plannedAt = plannedAt;
    this.#isHeadRead = false;
    this.#parser.reset("GET");
    this.#socket!.write(this.#request, 0, this.#request.length);
  }

  connected(socket: TcpSocket): void {
    this.#socket = socket;
    this.#owner.ready(this);
  }

  connectFailed(reason: string): void {
    throw new Error(`the open loop cannot connect: ${reason}`);
  }

  received(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      at = this.#isHeadRead ? this.#reader.feed(bytes, at, bytes.length, this) : this.#readHead(bytes, at);
      if (this.#isHeadRead && this.#reader.isDone) return this.#answered();
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const after = this.#parser.feed(bytes, at, bytes.length);
    if (after === incomplete) return bytes.length;
    this.#isHeadRead = true;
    this.#reader.begin(this.#parser.hasBody ? this.#parser.bodyLength : length.none, this.#parser.isChunked);
    return after;
  }

  #answered(): void {
    const plannedAt = this.#plannedAt;
    this.#plannedAt = nothingInFlight;
    if (this.#parser.status < 400) this.#owner.answered(plannedAt);
    else this.#owner.failed(`status ${this.#parser.status}`);
    if (this.#parser.keepsAlive) this.#owner.ready(this);
    else this.#socket!.end();
  }

  body(): void {
    // Only its end matters.
  }

  drained(): void {
    // Nothing waits: see send().
  }

  ended(): void {
    this.#socket!.end();
  }

  /** A new one takes its place: users do not go away because one of them was cut off. */
  closed(): void {
    if (this.#plannedAt !== nothingInFlight) this.#owner.failed("the connection closed");
    this.#plannedAt = nothingInFlight;
    if (!this.#isClosed) this.open();
  }

  failed(error: unknown): void {
    throw error;
  }
}
