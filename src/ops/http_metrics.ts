/** http_requests_total and http_request_duration_seconds, counted in plain numbers for role lb and role app alike. */
import { Histogram } from "../std/histogram.ts";
import { collect, collectHistogram } from "./metrics.ts";

interface Series {
  readonly route: string;
  readonly method: string;
  readonly durations: Histogram;
  /** Status → count. */
  readonly statuses: Map<number, number>;
}

/** Routes × methods. Beyond it requests count under route "other": an attacker must not be able to grow /metrics. */
const seriesMax = 500;
const knownMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

const byRoute = new Map<string, Map<string, Series>>();
let seriesCount = 0;

/** Counts one answered request. `route` is a pattern or service name, never a path. */
export function countRequest(method: string, route: string, status: number, seconds: number): void {
  const series = seriesOf(knownMethods.has(method) ? method : "other", route);
  series.durations.observe(seconds);
  series.statuses.set(status, (series.statuses.get(status) ?? 0) + 1);
}

function seriesOf(method: string, route: string): Series {
  const found = byRoute.get(route)?.get(method);
  if (found) return found;
  if (seriesCount >= seriesMax && route !== "other") return seriesOf(method, "other");
  const series = { route, method, durations: new Histogram(), statuses: new Map<number, number>() };
  const methods = byRoute.get(route) ?? new Map<string, Series>();
  byRoute.set(route, methods.set(method, series));
  seriesCount++;
  return series;
}

function* everySeries(): Generator<Series> {
  for (const methods of byRoute.values()) yield* methods.values();
}

/** Puts both metrics on /metrics. */
export function publishHttpMetrics(): void {
  collect("http_requests_total", (report) => {
    for (const { route, method, statuses } of everySeries()) {
      for (const [status, count] of statuses) report({ method, route, status: String(status) }, count);
    }
  });
  collectHistogram("http_request_duration_seconds", (report) => {
    for (const { route, method, durations } of everySeries()) report({ method, route }, durations);
  });
}
