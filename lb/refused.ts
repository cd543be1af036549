/** Requests that were answered before they were understood: they count and are logged like any other, under no route. */
import { logAccess } from "../src/ops/access_log.ts";
import { countRequest } from "../src/ops/http_metrics.ts";
import type { ScaleError } from "../src/std/errors.ts";
import type { Peer } from "./rewrite.ts";

export function recordRefused(id: string, peer: Peer, error: ScaleError): void {
  const { status, code } = error;
  countRequest("", "", status, 0);
  const about = {
    id,
    ip: peer.address,
    method: "",
    path: "",
    route: "",
    status,
    total: 0,
    bytes: 0,
    error: code,
  };
  logAccess(about, Date.now());
}
