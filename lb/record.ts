/** What an exchange leaves behind: its count, its duration, and its line in the access log. Hot: once a request. */
import { type AccessEntry, logAccess } from "../src/ops/access_log.ts";
import { countRequest } from "../src/ops/http_metrics.ts";
import { opensTunnel } from "../src/wire/message.ts";
import type { Timings } from "./phases.ts";

/** To be called when the exchange has ended. */
export function recordAnswered(entry: AccessEntry, timings: Timings, isLogged: boolean): void {
  // How long a tunnel lasts says nothing about how fast requests are answered.
  const milliseconds = opensTunnel(entry.method, entry.status) ? timings.answered : entry.total;
  countRequest(entry.method, entry.route, entry.status, milliseconds / 1_000);
  if (isLogged) logAccess(entry, Date.now());
}
