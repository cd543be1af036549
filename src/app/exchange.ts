/** One request in role app from arrival to response: what it is (the ambient context), its deadline, and how it ends. */
import { type Log, log } from "../ops/log.ts";
import { Consistency } from "../runtime/consistency.ts";
import type { RequestContext } from "../runtime/context.ts";
import { readSessionId } from "../runtime/session_cookie.ts";
import type { SessionId } from "../runtime/session_id.ts";
import type { SessionRules } from "../runtime/session_record.ts";
import { type Caller, SessionState } from "../runtime/session_state.ts";
import { ScaleError } from "../std/errors.ts";
import { isForeign } from "../std/foreign.ts";
import { isSafeRequestId, makeRequestId } from "../std/request_id.ts";
import { type Trace, traceOf } from "../std/traceparent.ts";
import type { Client } from "./client.ts";
import type { Deadline } from "./deadlines.ts";
import { readPosition, writePosition } from "./position.ts";

/** The request's owner. Fields that most requests never ask for (session, url, signal, log, trace) are made when they do. */
export class Exchange implements RequestContext, Deadline, Caller {
  readonly kind = "request";
  readonly startedAt = performance.now();
  readonly id: string;
  readonly route: string;
  /** Made by another site's page. Decided before a handler may change the request's fields. */
  readonly isForeign: boolean;
  readonly #client: Client;
  readonly #request: Request;
  readonly #rules: SessionRules;
  #session: SessionState | undefined;
  #consistency: Consistency | undefined;
  #position: string | undefined;
  #url: URL | undefined;
  #abort: AbortController | undefined;
  #expired: ScaleError | undefined;
  #left: ScaleError | undefined;
  #onExpire: ((error: ScaleError) => void) | undefined;
  #log: Log | undefined;
  #trace: Trace | undefined;

  constructor(request: Request, route: string, client: Client, rules: SessionRules) {
    const given = request.headers.get("x-request-id");
    this.id = given !== null && isSafeRequestId(given) ? given : makeRequestId();
    this.route = route;
    this.#client = client;
    this.#request = request;
    this.#rules = rules;
    this.isForeign = isForeign(request, () => this.url.origin);
  }

  /** Made by another site's page, with our session's cookie. */
  get isForged(): boolean {
    return this.isForeign && this.#sessionId !== undefined;
  }

  get session(): SessionState {
    return (this.#session ??= new SessionState(this.#sessionId, this.#rules, this));
  }

  /** What the response must say of the session, as SessionState.cookie. */
  get sessionCookie(): string | null | undefined {
    return this.#session?.cookie;
  }

  get #sessionId(): SessionId | undefined {
    return readSessionId(this.#request.headers.get("cookie"), this.secure);
  }

  get ip(): string {
    return this.#client.ip;
  }

  get userAgent(): string {
    return this.#request.headers.get("user-agent") ?? "";
  }

  get secure(): boolean {
    return this.#client.secure;
  }

  get url(): URL {
    if (this.#url) return this.#url;
    const url = new URL(this.#request.url);
    url.protocol = this.#client.secure ? "https:" : "http:";
    url.port = "";
    url.host = this.#client.host;
    return (this.#url = url);
  }

  get consistency(): Consistency {
    return (this.#consistency ??= new Consistency(
      readPosition(this.#request.headers, this.secure),
      this.#sessionId !== undefined,
    ));
  }

  /** Resolves when it is known what the client must be told of its position; undefined where no statement asked. Never rejects. */
  settlePosition(): Promise<void> | undefined {
    return this.#consistency?.token().then((token) => void (this.#position = token));
  }

  writePosition(headers: Headers): void {
    if (this.#position !== undefined) writePosition(headers, this.#request.headers, this.secure, this.#position);
  }

  /** Aborted when the client leaves or the time is up. */
  get signal(): AbortSignal {
    if (this.#abort) return this.#abort.signal;
    const abort = (this.#abort = new AbortController());
    const client = this.#request.signal;
    if (this.#expired) abort.abort(this.#expired);
    else if (client.aborted) abort.abort(client.reason);
    else client.addEventListener("abort", () => abort.abort(client.reason), { once: true });
    return abort.signal;
  }

  /** Asking for it costs more than most statements that are waited for: the database asks from a timer. */
  get left(): ScaleError | undefined {
    this.#left ??= this.#expired;
    if (this.#left === undefined && this.#request.signal.aborted)
      this.#left = new ScaleError("client_gone", `the client of ${this.#request.method} ${this.route} has left`);
    return this.#left;
  }

  get isOver(): boolean {
    return this.#left !== undefined || this.#expired !== undefined || this.#abort?.signal.aborted === true;
  }

  get log(): Log {
    return (this.#log ??= log.child({ id: this.id, route: this.route }));
  }

  get trace(): Trace {
    return (this.#trace ??= traceOf(this.#request.headers.get("traceparent")));
  }

  /** Settles as `work` does, unless the time is up first: then it rejects, and what `work` still does is nobody's. */
  within<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#onExpire = reject;
      work.then(resolve, reject);
    });
  }

  expire(): void {
    const seconds = Math.round((performance.now() - this.startedAt) / 1_000);
    this.#expired = new ScaleError(
      "request_timeout",
      `${this.#request.method} ${this.route} was not answered after ${seconds} s`,
      {
        hint: "--request-timeout, or move the work into a job",
      },
    );
    this.#abort?.abort(this.#expired);
    this.#onExpire?.(this.#expired);
  }
}
