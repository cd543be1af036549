/** What an exchange leaves behind: its count, its duration, and its line in the access log. Hot: once a request. */
import { logAccess } from "../src/ops/access_log.ts";
import { countRequest } from "../src/ops/http_metrics.ts";
import { clock } from "../src/std/clock.ts";
import type { ErrorCode } from "../src/std/errors.ts";
import type { RequestHead } from "../src/wire/message.ts";
import type { Rewritten } from "./rewrite.ts";

export interface Answered {
  /** The route's name: bounded, unlike the path. */
  readonly route: string;
  readonly head: RequestHead;
  readonly rewritten: Rewritten;
  readonly status: number;
  /** Milliseconds of the clock; 0 where no byte came. */
  readonly startedAt: number;
  readonly firstByteAt: number;
  readonly bytes: number;
  /** The last target it was given to. */
  readonly upstream: string | undefined;
  readonly retries: number;
  readonly error: ErrorCode | undefined;
}

/** To be called when the exchange has ended. */
export function recordAnswered(answered: Answered, isLogged: boolean): void {
  const { route, head, rewritten, status, startedAt, firstByteAt, bytes, upstream, retries, error } = answered;
  const milliseconds = clock.now - startedAt;
  countRequest(head.method, route, status, milliseconds / 1_000);
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
      milliseconds,
      bytes,
      upstream,
      upstreamMilliseconds: firstByteAt === 0 ? undefined : firstByteAt - startedAt,
      retries,
      error,
    },
    Date.now(),
  );
}
