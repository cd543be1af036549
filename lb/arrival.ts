/**
 * A request as it came in: what its client asks, what a target is told of the client, where it leads, and whether it may go there. Found out
 * once, before a target is chosen: it holds for every attempt. What becomes of the request is exchange.ts'. Hot: one object a request.
 */
import { clock } from "../src/std/clock.ts";
import { ScaleError } from "../src/std/errors.ts";
import type { Fields } from "../src/wire/fields.ts";
import { type AddedFields, type RequestHead, type ResponseHead, withoutFields } from "../src/wire/message.ts";
import { allowedTrailers } from "../src/wire/trailers.ts";
import type { Balancer } from "./balancer.ts";
import { errorResponse, type LocalResponse } from "./respond.ts";
import { type Peer, rewrite, type Rewritten } from "./rewrite.ts";
import type { Route } from "./route.ts";
import { answerOf, requestOf, responseOf, withHost } from "./routed.ts";
import type { Service } from "./service.ts";

export class Arrival {
  head: RequestHead;
  readonly route: Route<Service>;
  readonly rewritten: Rewritten;
  readonly #balancer: Balancer;
  /** Why the client must wait, if it must. */
  readonly #refusal: ScaleError | undefined;
  /** The head as a target gets it. */
  readonly #sent: RequestHead;

  constructor(balancer: Balancer, peer: Peer, head: RequestHead) {
    this.#balancer = balancer;
    this.head = head;
    this.rewritten = rewrite(head, peer, balancer.rewriteRules);
    this.route = balancer.services.routes.find(head, this.rewritten.scheme);
    this.#refusal = balancer.limits?.enter(this.rewritten.clientAddress, head, clock.now);
    this.#sent = requestOf(this.route, head, this.rewritten.added);
  }

  /** What answers it without a target; undefined if one is to be asked. */
  get answer(): LocalResponse | ScaleError | undefined {
    return this.#refusal ?? this.tooLarge(this.head.bodyLength) ?? answerOf(this.route, this.head);
  }

  /** The error that a body of so many bytes is, if it is one. */
  tooLarge(bytes: number): ScaleError | undefined {
    const { bodyBytesMax } = this.#balancer.config;
    if (bytes <= bodyBytesMax) return undefined;
    return new ScaleError("body_too_large", `the request's body is larger than ${bodyBytesMax} bytes`);
  }

  headFor(targetName: string): RequestHead {
    return withHost(this.#sent, targetName);
  }

  /** Trailers pass only between ends that keep them apart from the head (RFC 9110 §6.5.1). */
  passable(trailers: Fields | undefined): Fields | undefined {
    return trailers !== undefined && this.head.acceptsTrailers ? allowedTrailers(trailers) : undefined;
  }

  /** Changes a response's fields as the route says, and returns `added` with what it adds. */
  responseFields(head: ResponseHead, added: AddedFields): AddedFields {
    return responseOf(this.route, head, added);
  }

  /** The answer in a target's stead. */
  failed(error: ScaleError): LocalResponse {
    return errorResponse(error, this.head, this.rewritten.requestId);
  }

  /** The client's connection gives its parser back, and the fields with it. */
  letGoOfFields(): void {
    this.head = withoutFields(this.head);
  }

  /** It is over: another of this client's may come. */
  leave(): void {
    if (this.#refusal === undefined) this.#balancer.limits?.leave(this.rewritten.clientAddress);
  }
}
