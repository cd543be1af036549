/**
 * What a client's HTTP/1.1 connection reads its requests with: a parser borrowed for each, from its first byte to the end of its response,
 * and a body reader made for the first request that has a body. Whose turn it is, and what is held back, is http1.ts'. Hot.
 */
import { clock } from "../../src/std/clock.ts";
import { BodyReader, type BodySink } from "../../src/wire/http1/body_reader.ts";
import type { RequestParser } from "../../src/wire/http1/request_parser.ts";
import { length } from "../../src/wire/message.ts";
import type { Balancer } from "../balancer.ts";
import type { Patience } from "../patience.ts";
import type { DownstreamUser } from "../stream.ts";

export class RequestReader implements BodySink {
  readonly #balancer: Balancer;
  readonly #patience: Patience;
  #parser: RequestParser | undefined;
  #body: BodyReader | undefined;
  #user: DownstreamUser | undefined;

  constructor(balancer: Balancer, patience: Patience) {
    this.#balancer = balancer;
    this.#patience = patience;
  }

  /** The request under way. */
  get head(): RequestParser {
    return this.#parser!;
  }

  /** A request's first byte has come. */
  begin(): void {
    this.#parser = this.#balancer.spareParsers.take();
  }

  /** As HeadParser.feed. */
  feedHead(bytes: Buffer, at: number, end: number): number {
    return this.#parser!.feed(bytes, at, end);
  }

  /** Gives the body that follows the head to `user`. */
  beginBody(user: DownstreamUser): void {
    this.#user = user;
    const { bodyLength } = this.#parser!;
    if (bodyLength <= 0 && bodyLength !== length.unknown) return;
    this.#body ??= new BodyReader("request_malformed", this.#balancer.config);
    this.#body.begin(bodyLength, bodyLength === length.unknown);
  }

  /** Takes what belongs to the body of bytes[at, end); returns the index after it. */
  feedBody(bytes: Buffer, at: number, end: number): number {
    const reader = this.#body!;
    const after = reader.feed(bytes, at, end, this);
    if (reader.isDone) {
      this.#user?.requestEnd(reader.trailers);
      reader.release();
    }
    return after;
  }

  body(bytes: Buffer, start: number, end: number): void {
    this.#patience.earn(end - start, clock.now);
    this.#user?.requestBody(bytes, start, end);
  }

  /** The response has ended, whether or not the request has. */
  release(): void {
    this.#user = undefined;
    if (this.#parser === undefined) return;
    this.#balancer.spareParsers.give(this.#parser);
    this.#parser = undefined;
  }
}
