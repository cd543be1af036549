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
import { type AddedFields, length, type RequestHead, type ResponseHead } from "../src/wire/message.ts";
import { allowedTrailers } from "../src/wire/trailers.ts";
import { cookieOf, stickyCookie } from "./balance/sticky.ts";
import type { Balancer } from "./balancer.ts";
import { type Phase, Timings } from "./phases.ts";
import { pump } from "./pump.ts";
import { recordAnswered } from "./record.ts";
import { errorResponse, type LocalResponse } from "./respond.ts";
import { type Failure, mayRetry } from "./retry.ts";
import { rewrite, type Rewritten } from "./rewrite.ts";
import type { Route, Serve } from "./route.ts";
import { answerOf, requestOf, responseOf } from "./routed.ts";
import type { Service } from "./service.ts";
import { silenceMax, silent } from "./silence.ts";
import type { Downstream, DownstreamUser, Upstream, UpstreamUser } from "./stream.ts";
import type { Target } from "./target.ts";
import type { Waiting } from "./wait_queue.ts";

const nothingAdded: AddedFields = [];
const noTargets: readonly Target[] = [];

export class Exchange implements UpstreamUser, DownstreamUser, Waiting {
  readonly #balancer: Balancer;
  readonly #downstream: Downstream;
  readonly #head: RequestHead;
  readonly #rewritten: Rewritten;
  readonly #route: Route<Service>;
  /** Why the client must wait, if it must. */
  readonly #refusal: ScaleError | undefined;
  /** The head as a target gets it. */
  readonly #sent: RequestHead;
  /** What the client's sticky cookie says, "" if it says nothing. */
  readonly #stickyToken: string;
  readonly #timings = new Timings();

  #phase: Phase = "choosing";
  #target: Target | undefined;
  #upstream: Upstream | undefined;
  #tried: readonly Target[] = noTargets;
  #isRequestRead: boolean;
  /** A wait for the client, not for the target: what a timeout then means. */
  #waitsForClient = false;
  #status = 0;
  #bytes = 0;
  #error: ErrorCode | undefined;

  constructor(balancer: Balancer, downstream: Downstream, head: RequestHead) {
    this.#balancer = balancer;
    this.#downstream = downstream;
    this.#head = head;
    this.#isRequestRead = head.bodyLength === length.none || head.bodyLength === 0;
    this.#rewritten = rewrite(head, downstream.peer, balancer.rewriteRules);
    this.#route = balancer.services.routes.find(head.authority, head.target, this.#rewritten.scheme);
    this.#refusal = balancer.limits?.enter(this.#rewritten.clientAddress, head, clock.now);
    this.#sent = requestOf(this.#route, head, this.#rewritten.added);
    const cookie = this.#route.action.kind === "serve" ? this.#service.stickyCookie : "";
    this.#stickyToken = cookie === "" ? "" : cookieOf(head.fields, cookie);
    balancer.counters.exchangesInFlight++;
  }

  get isRequestRead(): boolean {
    return this.#isRequestRead;
  }

  /** Only of a route that leads to one. */
  get #service(): Service {
    return (this.#route.action as Serve<Service>).service;
  }

  /** Does what the route says. */
  start(): void {
    const answer = this.#refusal ?? answerOf(this.#route, this.#head);
    if (answer === undefined) this.#attempt();
    else if (answer instanceof ScaleError) this.#fail(answer);
    else this.#answer(answer);
  }

  /** Sends the request to a target, or lets it wait behind those that wait already. */
  #attempt(): void {
    if (this.#service.queue.depth > 0) this.#wait();
    else this.proceed();
  }

  /** Sends the request to a target, or to the next one. */
  proceed(): void {
    const target = this.#service.pick(this.#tried, this.#rewritten.clientAddress, this.#stickyToken);
    if (target === undefined) return this.#wait();
    this.#target = target;
    target.requestsInFlight++;
    target.requests++;
    this.#enter("connecting");
    this.#downstream.awaitTarget(this.#balancer.config.connectTimeout);
    const dialing = target.pool.acquire(this);
    if (dialing !== undefined) this.#upstream = dialing;
  }

  // From the upstream

  attached(upstream: Upstream): void {
    this.#enter("waiting");
    this.#upstream = upstream;
    upstream.sendHead(this.#sent, this.#rewritten.added);
    // A client that waits for 100 (Continue) waits for the target.
    this.#await(!this.#isRequestRead && !this.#head.expectsContinue);
    if (this.#isRequestRead) upstream.endBody(undefined);
    else this.#downstream.resumeBody();
  }

  connectFailed(reason: string): void {
    const { name } = this.#target!;
    this.#upstream = undefined;
    log.debug({ target: name, reason, id: this.#rewritten.requestId }, `${name} could not be connected to`);
    this.#failedAttempt("connect", new ScaleError("upstream_unreachable", `${name}: ${reason}`));
  }

  responseInterim(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    this.#await(!this.#isRequestRead && (head.status === 100 || !this.#head.expectsContinue));
    this.#downstream.sendInterim(head);
  }

  responseHead(head: ResponseHead): void {
    if (this.#phase !== "waiting") return;
    this.#enter("answering");
    this.#status = head.status;
    this.#target!.responses++;
    this.#await(false);
    // Who forwards a response without Date adds when it came (RFC 9110 §6.6.1).
    const hasDate = head.fields.find(known.date) !== -1;
    const added = hasDate ? nothingAdded : ["Date", new Date().toUTCString()];
    this.#downstream.sendHead(
      head,
      responseOf(this.#route, head, this.#isStrayed() ? [...added, ...this.#stickyField()] : added),
    );
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

  upstreamFailed(error: ScaleError, sawBytes: boolean): void {
    if (this.#phase === "done") return;
    this.#upstream = undefined;
    if (this.#phase === "waiting") this.#failedAttempt(sawBytes ? "begun" : "unanswered", error);
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
    if (this.#upstream === undefined) return;
    const isTaken = pump(this.#downstream, this.#upstream, bytes, start, end);
    this.#await(isTaken);
  }

  requestEnd(trailers: Fields | undefined): void {
    this.#isRequestRead = true;
    if (this.#upstream === undefined) return;
    this.#await(false);
    this.#upstream.endBody(this.#passable(trailers));
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
    if (this.#phase === "queued") this.#service.queue.delete(this);
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
      : silent(this.#target!.name, this.#owesHead);
    if (this.#phase === "answering") this.#cutShort(error);
    else this.#fail(error);
  }

  // Waiting for room

  #wait(): void {
    const { name, queue, queueTimeout } = this.#service;
    if (!this.#service.isWorthWaiting(this.#tried)) return this.#fail(this.#noTarget());
    this.#enter("queued");
    this.#downstream.awaitTarget(queueTimeout);
    if (!queue.push(this))
      this.#fail(new ScaleError("overloaded", `service ${name}: ${queue.depth} requests wait already`));
  }

  #waitedTooLong(): void {
    const { name, queue } = this.#service;
    queue.delete(this);
    queue.shedAtDeadline++;
    this.#fail(new ScaleError("overloaded", `service ${name}: no target had room within --queue-timeout`));
  }

  // Ends

  #failedAttempt(failure: Failure, error: ScaleError): void {
    const target = this.#target!;
    const { config, counters } = this.#balancer;
    const tried = [...this.#tried, target];
    const elsewhere = this.#service.routable.some((each) => !tried.includes(each));
    const attempts = { made: tried.length, retriesMax: config.retriesMax };
    if (!elsewhere || !mayRetry(failure, this.#head, attempts)) return this.#fail(error);
    this.#tried = tried;
    this.#leaveTarget();
    if (failure === "connect") counters.retriesAfterConnect++;
    else counters.retriesAfterUnanswered++;
    this.#enter("choosing");
    this.proceed();
  }

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

  #leaveTarget(): void {
    const target = this.#target;
    this.#target = undefined;
    if (target !== undefined) this.#service.leave(target);
  }

  #finish(): void {
    if (this.#phase === "done") throw new ScaleError("illegal_transition", "exchange: done → done");
    this.#enter("done");
    this.#balancer.counters.exchangesInFlight--;
    if (this.#refusal === undefined) this.#balancer.limits?.leave(this.#rewritten.clientAddress);
    const target = this.#target?.name;
    if (target !== undefined) this.#service.durations.observe(this.#timings);
    this.#leaveTarget();
    recordAnswered(
      {
        route: this.#route.name,
        head: this.#head,
        rewritten: this.#rewritten,
        status: this.#status,
        timings: this.#timings,
        bytes: this.#bytes,
        target,
        retries: this.#tried.length,
        error: this.#error,
      },
      this.#balancer.config.accessLog,
    );
  }

  #enter(phase: Phase): void {
    this.#timings.left(this.#phase);
    this.#phase = phase;
  }

  #noTarget(): ScaleError {
    return new ScaleError("no_target", `service ${this.#route.name} has no target that may be routed to`);
  }

  /** The client is not held to this target yet. */
  #isStrayed(): boolean {
    return this.#service.stickyCookie !== "" && this.#target!.stickyToken !== this.#stickyToken;
  }

  #stickyField(): AddedFields {
    return ["Set-Cookie", stickyCookie(this.#service.stickyCookie, this.#target!.stickyToken)];
  }

  /** Trailers pass only between ends that keep them apart from the head (RFC 9110 §6.5.1). */
  #passable(trailers: Fields | undefined): Fields | undefined {
    return trailers !== undefined && this.#head.acceptsTrailers ? allowedTrailers(trailers) : undefined;
  }

  /** Starts the wait for the next byte, from the client or from the target. */
  #await(client: boolean): void {
    this.#waitsForClient = client;
    if (client) this.#downstream.awaitClient();
    else this.#downstream.awaitTarget(silenceMax(this.#balancer.config, this.#owesHead));
  }

  get #owesHead(): boolean {
    return this.#phase === "waiting" && (this.#isRequestRead || this.#head.expectsContinue);
  }

  /** The client, or the target, took some of what waits for it: if that is what is awaited, it goes on. */
  #moved(client: boolean): void {
    if (this.#waitsForClient === client) this.#await(client);
  }
}
