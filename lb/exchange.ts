/**
 * The one owner of a request, from its head to the last byte of its response. Holds both ends, the attempts, the deadline and the
 * times; decides nothing itself: route, pick, rewrite, retry and respond are functions it asks. Protocols are not here.
 *
 *     choosing ─▶ connecting ─▶ waiting ─response head─▶ answering ─▶ done
 *      ▲   │ ▲        │            │                         │
 *      │   │ └─ retry ┴────────────┘                         └─ cut short ─▶ done
 *      │   └─ no room ─▶ queued ─ too long ─▶ done
 *      └──── room ─────────┘
 *
 * Invariant: `#finish` runs exactly once, whoever ends the exchange; what arrives after it is ignored.
 * Hot: one object a request; no promise, no closure.
 */
import { log } from "../src/ops/log.ts";
import { clock } from "../src/std/clock.ts";
import { type ErrorCode, ScaleError } from "../src/std/errors.ts";
import { type Fields, known } from "../src/wire/fields.ts";
import {
  type AddedFields,
  length,
  opensTunnel,
  type RequestHead,
  type ResponseHead,
  withoutFields,
} from "../src/wire/message.ts";
import { allowedTrailers } from "../src/wire/trailers.ts";
import { Attempts } from "./attempts.ts";
import type { Balancer } from "./balancer.ts";
import { type Phase, Timings } from "./phases.ts";
import { pump } from "./pump.ts";
import { recordAnswered } from "./record.ts";
import { errorResponse, type LocalResponse } from "./respond.ts";
import type { Failure } from "./retry.ts";
import { rewrite, type Rewritten } from "./rewrite.ts";
import type { Route } from "./route.ts";
import { answerOf, requestOf, responseOf, withHost } from "./routed.ts";
import type { Service } from "./service.ts";
import { silenceMax, silent } from "./silence.ts";
import type { Downstream, DownstreamUser, Progress, Upstream, UpstreamUser } from "./stream.ts";
import type { Target } from "./target.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { Waiting } from "./wait_queue.ts";

const nothingAdded: AddedFields = [];

export class Exchange implements UpstreamUser, DownstreamUser, Waiting, TunnelOwner {
  readonly #balancer: Balancer;
  readonly #downstream: Downstream;
  #head: RequestHead;
  readonly #rewritten: Rewritten;
  readonly #route: Route<Service>;
  /** Why the client must wait, if it must. */
  readonly #refusal: ScaleError | undefined;
  /** The head as a target gets it. */
  readonly #sent: RequestHead;
  /** Of a route that leads to a service. */
  readonly #attempts: Attempts | undefined;
  readonly #timings = new Timings();

  #phase: Phase = "choosing";
  #upstream: Upstream | undefined;
  #isRequestRead: boolean;
  /** A wait for the client, not for the target: what a timeout then means. */
  #waitsForClient = false;
  #status = 0;
  #bytes = 0;
  #requestBytes = 0;
  #error: ErrorCode | undefined;

  constructor(balancer: Balancer, downstream: Downstream, head: RequestHead) {
    this.#balancer = balancer;
    this.#downstream = downstream;
    this.#head = head;
    this.#isRequestRead = head.bodyLength === length.none || head.bodyLength === 0;
    this.#rewritten = rewrite(head, downstream.peer, balancer.rewriteRules);
    this.#route = balancer.services.routes.find(head, this.#rewritten.scheme);
    this.#refusal = balancer.limits?.enter(this.#rewritten.clientAddress, head, clock.now);
    this.#sent = requestOf(this.#route, head, this.#rewritten.added);
    const { action } = this.#route;
    if (action.kind === "serve") {
      this.#attempts = new Attempts(balancer, action.service, head, this.#rewritten.clientAddress);
    }
    balancer.counters.exchangesInFlight++;
  }

  get isRequestRead(): boolean {
    return this.#isRequestRead;
  }

  /** Does what the route says. */
  start(): void {
    const answer = this.#refusal ?? this.#tooLarge(this.#head.bodyLength) ?? answerOf(this.#route, this.#head);
    if (answer === undefined) this.proceed();
    else if (answer instanceof ScaleError) this.#fail(answer);
    else this.#answer(answer);
  }

  /**
   * Sends the request to a target, or to the next one, or lets it wait. Room that is there now is room that those who wait already had
   * no use for (wait_queue.ts).
   */
  proceed(): void {
    const target = this.#attempts!.choose();
    if (target === undefined) return this.#wait();
    this.#connect(target);
  }

  #connect({ pool }: Target): void {
    const attempts = this.#attempts!;
    this.#enter("connecting");
    this.#downstream.awaitTarget(attempts.left(this.#balancer.config.connectTimeout));
    this.#upstream = (attempts.needsNew ? pool.dial(this) : pool.acquire(this)) ?? this.#upstream;
  }

  // From the upstream

  attached(upstream: Upstream): void {
    const { replay } = this.#attempts!;
    if (replay?.isWhole === false) return this.#cannotReplay(upstream);
    this.#enter("waiting");
    this.#upstream = upstream;
    const sent = withHost(this.#sent, this.#attempts!.target!.name);
    upstream.sendHead(sent, this.#rewritten.added, this.#rewritten.introduction);
    // A client that waits for 100 (Continue) waits for the target.
    this.#await(!this.#isRequestRead && !this.#head.expectsContinue);
    replay?.writeTo(upstream);
    if (this.#isRequestRead) upstream.endBody(undefined);
    else this.#downstream.resumeBody();
  }

  connectFailed(reason: string): void {
    const { name } = this.#attempts!.target!;
    this.#upstream = undefined;
    log.debug({ target: name, reason, id: this.#rewritten.requestId }, `${name} could not be connected to`);
    this.#attempts!.failed(reason);
    // In a panic the checks have said so before.
    const code = this.#attempts!.service.isPanic ? "no_target" : "upstream_unreachable";
    this.#failedAttempt("connect", new ScaleError(code, `${name}: ${reason}`));
  }

  responseInterim(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    if (opensTunnel(this.#head.method, head.status)) return this.#switchProtocols(head);
    this.#await(!this.#isRequestRead && (head.status === 100 || !this.#head.expectsContinue));
    this.#downstream.sendInterim(head);
  }

  responseHead(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    if (opensTunnel(this.#head.method, head.status)) return this.#switchProtocols(head);
    const attempts = this.#attempts!;
    attempts.answered(head.status);
    if (this.#balancer.config.retryStatuses.includes(head.status) && this.#isRetried("status")) return;
    attempts.replay = undefined;
    this.#enter("answering");
    this.#status = head.status;
    this.#await(false);
    this.#downstream.sendHead(head, responseOf(this.#route, head, this.#addedTo(head, attempts.stickyField)));
  }

  #addedTo(head: ResponseHead, setCookie: string | undefined): AddedFields {
    // Who forwards a response without Date adds when it came (RFC 9110 §6.6.1).
    const hasDate = head.fields.find(known.date) !== -1;
    if (hasDate && setCookie === undefined) return nothingAdded;
    const added = hasDate ? [] : ["Date", new Date().toUTCString()];
    if (setCookie !== undefined) added.push("Set-Cookie", setCookie);
    return added;
  }

  responseBody(bytes: Buffer, start: number, end: number): void {
    if (this.#phase !== "answering") return;
    this.#bytes += end - start;
    const isTaken = pump(this.#upstream!, this.#downstream, bytes, start, end);
    this.#await(!isTaken);
  }

  responseEnd(trailers: Fields | undefined): void {
    if (this.#phase !== "answering") return;
    this.#upstream = undefined;
    this.#finish();
    this.#downstream.endBody(this.#passable(trailers));
  }

  upstreamFailed(error: ScaleError, progress: Progress): void {
    if (this.#phase === "done") return;
    this.#upstream = undefined;
    if (isTargetsFault(error, progress)) this.#attempts!.failed(error.message);
    if (this.#phase === "waiting") this.#failedAttempt(progress, error);
    else this.#cutShort(error);
  }

  upstreamDrained(hasRoom: boolean): void {
    if (this.#phase !== "waiting" && this.#phase !== "answering") return;
    if (!hasRoom) return this.#moved(false);
    this.#await(!this.#isRequestRead);
    this.#downstream.resumeBody();
  }

  // From the downstream

  requestBody(bytes: Buffer, start: number, end: number): void {
    this.#requestBytes += end - start;
    const tooLarge = this.#tooLarge(this.#requestBytes);
    if (tooLarge !== undefined) return this.downstreamFailed(tooLarge);
    this.#attempts?.replay?.keep(bytes, start, end);
    if (!this.#isWithTarget) return;
    const isTaken = pump(this.#downstream, this.#upstream!, bytes, start, end);
    this.#await(isTaken);
  }

  requestEnd(trailers: Fields | undefined): void {
    this.#isRequestRead = true;
    if (!this.#isWithTarget) return;
    this.#await(false);
    this.#upstream!.endBody(this.#passable(trailers));
  }

  /** Between attempts there is no connection, or none yet. */
  get #isWithTarget(): boolean {
    return (this.#phase === "waiting" || this.#phase === "answering") && this.#upstream !== undefined;
  }

  downstreamDrained(hasRoom: boolean): void {
    if (this.#phase !== "answering") return;
    if (!hasRoom) return this.#moved(true);
    this.#await(false);
    this.#upstream?.resumeBody();
  }

  /** With the client goes the reason to go on. The application sees its connection close. */
  downstreamClosed(): void {
    if (this.#phase === "done") return;
    this.#giveUpUpstream();
    this.#error = "client_gone";
    if (this.#status === 0) this.#status = 499;
    this.#finish();
  }

  downstreamFailed(error: ScaleError): void {
    if (this.#phase === "done") return;
    this.#giveUpUpstream();
    if (this.#phase === "answering") this.#cutShort(error);
    else this.#fail(error);
  }

  /** The deadline has passed. What it means depends on who was waited for. */
  expire(): void {
    if (this.#phase === "done") return;
    if (this.#phase === "queued") return this.#waitedTooLong();
    this.#giveUpUpstream();
    if (this.#phase === "connecting") return this.connectFailed("no connection within --connect-timeout");
    const error = this.#waitsForClient
      ? new ScaleError("client_timeout", "the request's body stopped coming, or came too slowly")
      : silent(this.#attempts!.target!.name, this.#owesHead);
    if (this.#phase === "answering") return this.#cutShort(error);
    if (!this.#waitsForClient) this.#attempts!.failed(error.message);
    this.#fail(error);
  }

  #tooLarge(bytes: number): ScaleError | undefined {
    const { bodyBytesMax } = this.#balancer.config;
    if (bytes <= bodyBytesMax) return undefined;
    return new ScaleError("body_too_large", `the request's body is larger than ${bodyBytesMax} bytes`);
  }

  // Switching protocols

  #switchProtocols(head: ResponseHead): void {
    const { counters, config } = this.#balancer;
    this.#enter("tunnelling");
    this.#status = head.status;
    this.#attempts!.answered(head.status);
    counters.tunnels++;
    counters.tunnelsOpen++;
    // The client's connection gives its parser back.
    this.#head = withoutFields(this.#head);
    const tunnel = new Tunnel(this, this.#downstream.peer, config);
    const client = this.#downstream.switchProtocols(head, responseOf(this.#route, head, nothingAdded), tunnel);
    tunnel.join(client, this.#upstream!.switchProtocols(tunnel));
  }

  tunnelEnded(bytes: number, error: ErrorCode | undefined): void {
    this.#balancer.counters.tunnelsOpen--;
    this.#bytes = bytes;
    this.#error = error;
    this.#finish();
  }

  // Waiting for room

  #wait(): void {
    const { service, isWorthWaiting } = this.#attempts!;
    const { name, queue, queueTimeout } = service;
    if (!isWorthWaiting)
      return this.#fail(new ScaleError("no_target", `service ${name} has no target that may be routed to`));
    if (!queue.push(this)) {
      return this.#fail(new ScaleError("overloaded", `service ${name}: ${queue.depth} requests wait already`));
    }
    this.#enter("queued");
    this.#downstream.awaitTarget(this.#attempts!.left(queueTimeout));
  }

  #waitedTooLong(): void {
    const { name, queue } = this.#attempts!.service;
    queue.shedAtDeadline++;
    this.#fail(new ScaleError("overloaded", `service ${name}: no target had room within --queue-timeout`));
  }

  // Trying again

  #failedAttempt(failure: Failure, error: ScaleError): void {
    if (!this.#isRetried(failure)) this.#fail(error);
  }

  /** Goes on to another target, or to a new connection of the same one, if the failure allows it. */
  #isRetried(failure: Failure): boolean {
    const { target } = this.#attempts!;
    const next = this.#attempts!.after(failure);
    if (next === "no") return false;
    this.#giveUpUpstream();
    // What still comes of the body is kept; what has not been read waits for the next target.
    if (!this.#isRequestRead) this.#downstream.pauseBody();
    this.#enter("choosing");
    if (next === "elsewhere") this.proceed();
    else this.#connect(target!);
    return true;
  }

  /** What was on its way when the attempt before failed was too much to keep. */
  #cannotReplay(upstream: Upstream): void {
    upstream.abort();
    this.#fail(new ScaleError("upstream_closed", "more of the body had come than --replay-bytes-max keeps"));
  }

  // Ends

  /** Answers in the target's stead. */
  #fail(error: ScaleError): void {
    this.#error = error.code;
    this.#answer(errorResponse(error, this.#head, this.#rewritten.requestId));
  }

  #answer({ head, added, body }: LocalResponse): void {
    this.#status = head.status;
    this.#bytes = head.hasBody ? body.length : 0;
    this.#finish();
    this.#downstream.sendHead(head, responseOf(this.#route, head, added));
    if (head.hasBody) this.#downstream.writeBody(body, 0, body.length);
    this.#downstream.endBody(undefined);
  }

  /** Part of the response is with the client already: all that is left is to say that it is not whole. */
  #cutShort(error: ScaleError): void {
    this.#error = error.code;
    this.#finish();
    this.#downstream.abort();
  }

  #giveUpUpstream(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    upstream?.abort();
  }

  #finish(): void {
    if (this.#phase === "done") throw new ScaleError("illegal_transition", "exchange: done → done");
    if (this.#phase === "queued") this.#attempts!.service.queue.delete(this);
    this.#enter("done");
    this.#balancer.counters.exchangesInFlight--;
    if (this.#refusal === undefined) this.#balancer.limits?.leave(this.#rewritten.clientAddress);
    const target = this.#attempts?.target?.name;
    if (target !== undefined) this.#attempts!.service.durations.observe(this.#timings);
    this.#attempts?.leave();
    recordAnswered(
      {
        id: this.#rewritten.requestId,
        ip: this.#rewritten.clientAddress,
        method: this.#head.method,
        path: this.#head.target,
        route: this.#route.name,
        status: this.#status,
        total: this.#timings.total,
        bytes: this.#bytes,
        target,
        phases: this.#timings,
        retries: this.#attempts?.retries ?? 0,
        error: this.#error,
      },
      this.#timings,
      this.#balancer.config.accessLog,
    );
  }

  #enter(phase: Phase): void {
    this.#timings.left(this.#phase);
    this.#phase = phase;
  }

  /** Trailers pass only between ends that keep them apart from the head (RFC 9110 §6.5.1). */
  #passable(trailers: Fields | undefined): Fields | undefined {
    return trailers !== undefined && this.#head.acceptsTrailers ? allowedTrailers(trailers) : undefined;
  }

  /** Starts the wait for the next byte, from the client or from the target. */
  #await(client: boolean): void {
    this.#waitsForClient = client;
    if (client) return this.#downstream.awaitClient();
    const silence = silenceMax(this.#balancer.config, this.#owesHead);
    this.#downstream.awaitTarget(this.#phase === "waiting" ? this.#attempts!.left(silence) : silence);
  }

  get #owesHead(): boolean {
    return this.#phase === "waiting" && (this.#isRequestRead || this.#head.expectsContinue);
  }

  /** The client, or the target, took some of what waits for it: if that is what is awaited, it goes on. */
  #moved(client: boolean): void {
    if (this.#waitsForClient === client) this.#await(client);
  }
}

/** A kept connection may end at any time. */
function isTargetsFault(error: ScaleError, progress: Progress): boolean {
  return error.source === "upstream" && (progress === "unanswered" || progress === "begun");
}
