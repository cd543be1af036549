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
 * Hot: no promise, no closure. What is known before a target is chosen is arrival.ts', what is told of it afterwards record.ts'.
 */
import { log } from "../src/ops/log.ts";
import { type ErrorCode, ScaleError } from "../src/std/errors.ts";
import type { Fields } from "../src/wire/fields.ts";
import { length, opensTunnel, type RequestHead, type ResponseHead } from "../src/wire/message.ts";
import { Arrival } from "./arrival.ts";
import { Attempts } from "./attempts.ts";
import type { Balancer } from "./balancer.ts";
import type { Phase } from "./phases.ts";
import { pump } from "./pump.ts";
import { Outcome, recordAnswered } from "./record.ts";
import type { LocalResponse } from "./respond.ts";
import type { Failure } from "./retry.ts";
import { forwardedFields, nothingAdded } from "./routed.ts";
import { silenceMax, silent } from "./silence.ts";
import type { Downstream, DownstreamUser, Progress, Upstream, UpstreamUser } from "./stream.ts";
import type { Target } from "./target.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { Waiting } from "./wait_queue.ts";

export class Exchange implements UpstreamUser, DownstreamUser, Waiting, TunnelOwner {
  readonly #balancer: Balancer;
  readonly #downstream: Downstream;
  readonly #arrival: Arrival;
  /** Of a route that leads to a service. */
  readonly #attempts: Attempts | undefined;
  readonly #outcome = new Outcome();

  #phase: Phase = "choosing";
  #upstream: Upstream | undefined;
  #isRequestRead: boolean;
  /** A wait for the client, not for the target: what a timeout then means. */
  #waitsForClient = false;
  #requestBytes = 0;

  constructor(balancer: Balancer, downstream: Downstream, head: RequestHead) {
    this.#balancer = balancer;
    this.#downstream = downstream;
    this.#isRequestRead = head.bodyLength === length.none || head.bodyLength === 0;
    this.#arrival = new Arrival(balancer, downstream.peer, head);
    const { route, rewritten } = this.#arrival;
    if (route.action.kind === "serve") {
      this.#attempts = new Attempts(balancer, route.action.service, head, rewritten.clientAddress);
    }
    balancer.counters.exchangesInFlight++;
  }

  get isRequestRead(): boolean {
    return this.#isRequestRead;
  }

  /** Does what the route says. */
  start(): void {
    const { answer } = this.#arrival;
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
    const { replay, target } = this.#attempts!;
    if (replay?.isWhole === false) return this.#cannotReplay(upstream);
    this.#enter("waiting");
    this.#upstream = upstream;
    const { added, introduction } = this.#arrival.rewritten;
    upstream.sendHead(this.#arrival.headFor(target!.name), added, introduction);
    // A client that waits for 100 (Continue) waits for the target.
    this.#await(!this.#isRequestRead && !this.#arrival.head.expectsContinue);
    replay?.writeTo(upstream);
    if (this.#isRequestRead) upstream.endBody(undefined);
    else this.#downstream.resumeBody();
  }

  connectFailed(reason: string): void {
    const { name } = this.#attempts!.target!;
    this.#upstream = undefined;
    log.debug({ target: name, reason, id: this.#arrival.rewritten.requestId }, `${name} could not be connected to`);
    this.#attempts!.failed(reason);
    // In a panic the checks have said so before.
    const code = this.#attempts!.service.isPanic ? "no_target" : "upstream_unreachable";
    this.#failedAttempt("connect", new ScaleError(code, `${name}: ${reason}`));
  }

  responseInterim(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    if (opensTunnel(this.#arrival.head.method, head.status)) return this.#switchProtocols(head);
    this.#await(!this.#isRequestRead && (head.status === 100 || !this.#arrival.head.expectsContinue));
    this.#downstream.sendInterim(head);
  }

  responseHead(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    if (opensTunnel(this.#arrival.head.method, head.status)) return this.#switchProtocols(head);
    const attempts = this.#attempts!;
    attempts.answered(head.status);
    if (this.#balancer.config.retryStatuses.includes(head.status) && this.#isRetried("status")) return;
    attempts.replay = undefined;
    this.#enter("answering");
    this.#outcome.status = head.status;
    this.#await(false);
    this.#downstream.sendHead(head, this.#arrival.responseFields(head, forwardedFields(head, attempts.stickyField)));
  }

  responseBody(bytes: Buffer, start: number, end: number): void {
    if (this.#phase !== "answering") return;
    this.#outcome.bytes += end - start;
    const isTaken = pump(this.#upstream!, this.#downstream, bytes, start, end);
    this.#await(!isTaken);
  }

  responseEnd(trailers: Fields | undefined): void {
    if (this.#phase !== "answering") return;
    this.#upstream = undefined;
    this.#finish();
    this.#downstream.endBody(this.#arrival.passable(trailers));
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
    const tooLarge = this.#arrival.tooLarge(this.#requestBytes);
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
    this.#upstream!.endBody(this.#arrival.passable(trailers));
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
    this.#outcome.error = "client_gone";
    if (this.#outcome.status === 0) this.#outcome.status = 499;
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

  // Switching protocols

  #switchProtocols(head: ResponseHead): void {
    const { counters, config } = this.#balancer;
    this.#enter("tunnelling");
    this.#outcome.status = head.status;
    this.#attempts!.answered(head.status);
    counters.tunnels++;
    counters.tunnelsOpen++;
    this.#arrival.letGoOfFields();
    const tunnel = new Tunnel(this, this.#downstream.peer, config);
    const client = this.#downstream.switchProtocols(head, this.#arrival.responseFields(head, nothingAdded), tunnel);
    tunnel.join(client, this.#upstream!.switchProtocols(tunnel));
  }

  tunnelEnded(bytes: number, error: ErrorCode | undefined): void {
    this.#balancer.counters.tunnelsOpen--;
    this.#outcome.bytes = bytes;
    this.#outcome.error = error;
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
    this.#outcome.error = error.code;
    this.#answer(this.#arrival.failed(error));
  }

  #answer({ head, added, body }: LocalResponse): void {
    this.#outcome.status = head.status;
    this.#outcome.bytes = head.hasBody ? body.length : 0;
    this.#finish();
    this.#downstream.sendHead(head, this.#arrival.responseFields(head, added));
    if (head.hasBody) this.#downstream.writeBody(body, 0, body.length);
    this.#downstream.endBody(undefined);
  }

  /** Part of the response is with the client already: all that is left is to say that it is not whole. */
  #cutShort(error: ScaleError): void {
    this.#outcome.error = error.code;
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
    this.#arrival.leave();
    recordAnswered(this.#arrival, this.#attempts, this.#outcome, this.#balancer.config.accessLog);
    this.#attempts?.leave();
  }

  #enter(phase: Phase): void {
    this.#outcome.left(this.#phase);
    this.#phase = phase;
  }

  /** Starts the wait for the next byte, from the client or from the target. */
  #await(client: boolean): void {
    this.#waitsForClient = client;
    if (client) return this.#downstream.awaitClient();
    const silence = silenceMax(this.#balancer.config, this.#owesHead);
    this.#downstream.awaitTarget(this.#phase === "waiting" ? this.#attempts!.left(silence) : silence);
  }

  get #owesHead(): boolean {
    return this.#phase === "waiting" && (this.#isRequestRead || this.#arrival.head.expectsContinue);
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
