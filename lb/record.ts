/** What an exchange leaves behind: its count, its duration, and its line in the access log. Hot: once a request. */
import { logAccess } from "../src/ops/access_log.ts";
import { countRequest } from "../src/ops/http_metrics.ts";
import type { ErrorCode } from "../src/std/errors.ts";
import { type RequestHead, switchingProtocols } from "../src/wire/message.ts";
import type { Timings } from "./phases.ts";
import type { Rewritten } from "./rewrite.ts";

export interface Answered {
  /** The route's name: bounded, unlike the path. */
  readonly route: string;
  readonly head: RequestHead;
  readonly rewritten: Rewritten;
  readonly status: number;
  readonly timings: Timings;
  readonly bytes: number;
  /** The last target it was given to. */
  readonly target: string | undefined;
  readonly retries: number;
  readonly error: ErrorCode | undefined;
}

/** To be called when the exchange has ended. */
export function recordAnswered(answered: Answered, isLogged: boolean): void {
  const { route, head, rewritten, status, timings, bytes, target, retries, error } = answered;
  const total = timings.total;
  // How long a tunnel lasts says nothing about how fast requests are answered.
  const seconds = (status === switchingProtocols ? timings.answered : total) / 1_000;
  countRequest(head.method, route, status, seconds);
  if (!isLogged) return;
  const query = head.target.indexOf("?");
  logAccess(
    {
      id: rewritten.requestId,
      ip: rewritten.clientAddress,
      method: head.method,
      path: query === -1 ? head.target : head.target.slice(0, query),
      route,
      status,
      total,
      bytes,
      target,
      phases: timings,
      retries,
      error,
    },
    Date.now(),
  );
}
