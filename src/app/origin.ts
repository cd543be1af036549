/**
 * Cross-site request forgery, first line: an unsafe request that carries our session cookie must come from our own pages.
 * Programs send neither Origin nor Sec-Fetch-Site and are not concerned; without the cookie there is nothing to forge.
 */
import type { RequestContext } from "../runtime/context.ts";
import { HttpError } from "../runtime/http_error.ts";
import { readSessionId } from "../runtime/session_cookie.ts";

const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Throws HttpError 403 where a browser says that the request comes from another site. */
export function checkOrigin(request: Request, context: RequestContext): void {
  if (safe.has(request.method)) return;
  const origin = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (origin === null && site === null) return;
  if (readSessionId(request.headers.get("cookie"), context.secure) === undefined) return;
  const own = site === "same-origin" || site === "none" || (site === null && origin === context.url.origin);
  if (own) return;
  throw new HttpError(
    403,
    `This request comes from ${origin ?? "another site"}, and this service is ${context.url.origin}.`,
    {
      code: "foreign_origin",
    },
  );
}
