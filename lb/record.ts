/** What an exchange leaves behind: its count, its duration, and its line in the access log. Hot: once a request. */
import { logAccess } from "../src/ops/access_log.ts";
import { countRequest } from "../src/ops/http_metrics.ts";
import type { ErrorCode } from "../src/std/errors.ts";
import { opensTunnel } from "../src/wire/message.ts";
import type { Arrival } from "./arrival.ts";
import type { Attempts } from "./attempts.ts";
import { Timings } from "./phases.ts";

/** How an exchange went, as far as it has come. */
export class Outcome extends Timings {
  status = 0;
  /** Of the response's body. */
  bytes = 0;
  error: ErrorCode | undefined;
}

/** To be called when the exchange has ended, before its target is left. */
export function recordAnswered(
  { head: { method, target: path }, route, rewritten }: Arrival,
  attempts: Attempts | undefined,
  outcome: Outcome,
  isLogged: boolean,
): void {
  const { status, bytes, error, total, answered } = outcome;
  const target = attempts?.target?.name;
  if (target !== undefined) attempts!.service.durations.observe(outcome);
  // How long a tunnel lasts says nothing about how fast requests are answered.
  countRequest(method, route.name, status, (opensTunnel(method, status) ? answered : total) / 1_000);
  if (!isLogged) return;
  const entry = {
    id: rewritten.requestId,
    ip: rewritten.clientAddress,
    method,
    path,
    route: route.name,
    status,
    total,
    bytes,
    target,
    phases: outcome,
    retries: attempts?.retries ?? 0,
    error,
  };
  logAccess(entry, Date.now());
}
