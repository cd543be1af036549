/**
 * The walk of a request through role app: admit → identify → origin → handler → response → finish. Each step is a function below or
 * in the file its name says. Listening is main.ts, routing routes.ts.
 */
import type { App } from "scale";

import type { Config } from "../config/options.ts";
import { logAccess } from "../ops/access_log.ts";
import { countRequest } from "../ops/http_metrics.ts";
import { log } from "../ops/log.ts";
import { collect, counter } from "../ops/metrics.ts";
import { cacheNote } from "../runtime/cache_outcomes.ts";
import { runIn } from "../runtime/context.ts";
import { keepFromSharedCaches, sessionCookie } from "../runtime/session_cookie.ts";
import type { SessionRules } from "../runtime/session_record.ts";
import { repeatedNote } from "../runtime/statements.ts";
import { networkTest } from "../std/cidr.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import type { Trust } from "../std/forwarded.ts";
import { bodyFault, checkLength, guardBody } from "./body.ts";
import { Client } from "./client.ts";
import { Deadlines } from "./deadlines.ts";
import { Exchange } from "./exchange.ts";
import { foreignOrigin } from "./origin.ts";
import { errorCode, errorResponse, isFault, toResponse } from "./respond.ts";
import type { Handler } from "./routes.ts";

type Server = Bun.Server<unknown>;

type Rules = Pick<
  Config,
  | "trustedProxies"
  | "publicUrl"
  | "requestTimeout"
  | "requestsInFlightMax"
  | "bodyBytesMax"
  | "sessionIdleTimeout"
  | "sessionLifetime"
  | "sessionRotation"
  | "sessionsPerUserMax"
  | "servedBy"
>;

/** Serves requests under the limits of the configuration, and knows how many are in flight. */
export class Serving {
  readonly #rules: Rules;
  readonly #sessionRules: SessionRules;
  readonly #instance: string;
  readonly #onError: App["error"];
  readonly #upgrades: boolean;
  readonly #deadlines: Deadlines;
  readonly #trusted: Trust;
  readonly #shed = counter("app_requests_shed_total");
  readonly #timedOut = counter("app_requests_timed_out_total");
  #draining = false;
  #warned = false;

  constructor(rules: Rules, instance: string, definition: App) {
    this.#rules = rules;
    this.#sessionRules = sessionRulesOf(rules);
    this.#instance = instance;
    this.#onError = definition.error;
    this.#upgrades = "websocket" in definition;
    this.#deadlines = new Deadlines(rules.requestTimeout);
    this.#trusted = networkTest(rules.trustedProxies);
    collect("app_requests_in_flight", (report) => report({}, this.#deadlines.size));
  }

  /** Puts the walk around a handler; `route` is its pattern. */
  wrap(route: string, handler: Handler): Handler {
    const { publicUrl } = this.#rules;
    return (request, server) => {
      const peer = server.requestIP(request)?.address;
      const client = new Client({ peer, headers: request.headers }, this.#trusted, publicUrl);
      if (!this.#warned && client.ignored) this.#warnIgnored(client.ip);
      return this.#answer(new Exchange(request, route, client, this.#sessionRules), request, server, handler);
    };
  }

  /** A balancer that is not trusted makes every client look like one: the limits of all of them would be shared. Said once. */
  #warnIgnored(peer: string): void {
    this.#warned = true;
    log.warn(
      { peer },
      `X-Forwarded-For from ${peer} is not believed. If that is your balancer: --trusted-proxies=${peer}`,
    );
  }

  /** From now on every response asks its client to connect elsewhere. */
  drain(): void {
    this.#draining = true;
  }

  stop(): void {
    this.#deadlines.stop();
  }

  async #answer(exchange: Exchange, request: Request, server: Server, handler: Handler): Promise<Response | undefined> {
    this.#deadlines.add(exchange);
    let failure: unknown;
    let response: Response | undefined;
    try {
      const value = this.#call(exchange, request, server, handler);
      response = this.#responseOf(isThenable(value) ? await exchange.within(value) : value, exchange);
    } catch (error) {
      failure = bodyFault(error);
      if (failure instanceof ScaleError && failure.code === "request_timeout") this.#timedOut.inc();
      response = await this.#failed(failure, exchange);
    }
    // What was written must be seen by whoever hears that it was.
    const settling = exchange.settlePosition();
    if (settling !== undefined) await settling;
    this.#deadlines.delete(exchange);
    return this.#finish(exchange, request, response, failure);
  }

  #call(exchange: Exchange, request: Request, server: Server, handler: Handler): unknown {
    this.#admit();
    checkLength(request, this.#rules.bodyBytesMax);
    if (exchange.isForged) throw foreignOrigin(request, exchange.url.origin);
    guardBody(request);
    return runIn(exchange, () => handler(request, server));
  }

  #responseOf(value: unknown, exchange: Exchange): Response | undefined {
    if (value !== undefined) return toResponse(value);
    // The handler has upgraded the connection: there is nothing to send.
    if (this.#upgrades) return undefined;
    throw new ScaleError("internal", `the handler of ${exchange.route} returned nothing`, {
      hint: "return a value, a Response, or null; an async function without return returns nothing",
    });
  }

  /** One over the limit is refused at once: waiting would only make everybody late. */
  #admit(): void {
    const { requestsInFlightMax } = this.#rules;
    if (this.#deadlines.size <= requestsInFlightMax) return;
    this.#shed.inc();
    throw new ScaleError(
      "overloaded",
      `${this.#deadlines.size} requests in flight, --requests-in-flight-max=${requestsInFlightMax}`,
    );
  }

  async #failed(error: unknown, exchange: Exchange): Promise<Response> {
    if (isFault(error)) exchange.log.error({ error }, `${exchange.route} failed: ${messageOf(error)}`);
    const onError = this.#onError;
    if (!onError) return errorResponse(error, exchange.id);
    try {
      return await runIn(exchange, () => onError(error));
    } catch (second) {
      exchange.log.error({ error: second }, `the application's error handler failed: ${messageOf(second)}`);
      return errorResponse(error, exchange.id);
    }
  }

  #finish(
    exchange: Exchange,
    request: Request,
    response: Response | undefined,
    failure: unknown,
  ): Response | undefined {
    const sent = response && this.#decorate(response, exchange);
    const total = performance.now() - exchange.startedAt;
    const status = sent?.status ?? 101;
    countRequest(request.method, exchange.route, status, total / 1_000);
    logAccess(
      {
        id: exchange.id,
        ip: exchange.ip,
        method: request.method,
        path: pathOf(request.url),
        route: exchange.route,
        status,
        total,
        error: failure === undefined ? undefined : errorCode(failure),
      },
      Date.now(),
    );
    return sent;
  }

  /** Adds what scale adds. A response that came from elsewhere (fetch, Response.redirect) has fixed headers: then a copy. */
  #decorate(response: Response, exchange: Exchange): Response {
    try {
      return this.#withHeaders(response, exchange);
    } catch {
      return this.#withHeaders(new Response(response.body, response), exchange);
    }
  }

  #withHeaders(response: Response, exchange: Exchange): Response {
    const { sessionCookie: cookie } = exchange;
    // The instance first: setting it twice changes nothing, should the cookie then turn out to need a copy.
    if (this.#rules.servedBy) response.headers.set("x-served-by", this.#instance);
    if (this.#draining) response.headers.set("connection", "close");
    exchange.writePosition(response.headers);
    const repeated = repeatedNote(exchange);
    if (repeated !== undefined) response.headers.append("server-timing", repeated);
    const cached = cacheNote(exchange);
    if (cached !== undefined) response.headers.append("server-timing", cached);
    if (cookie !== undefined) {
      response.headers.append("set-cookie", sessionCookie(cookie, exchange.secure, this.#rules.sessionLifetime));
      keepFromSharedCaches(response.headers);
    }
    return response;
  }
}

function sessionRulesOf(rules: Rules): SessionRules {
  const { sessionIdleTimeout: idle, sessionLifetime: lifetime, sessionRotation: rotation } = rules;
  return { idle, lifetime, rotation, perUserMax: rules.sessionsPerUserMax };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** Without scheme, host and query: what the access log may show. */
export function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const end = url.indexOf("?", start);
  return start < 0 ? "/" : url.slice(start, end < 0 ? undefined : end);
}
