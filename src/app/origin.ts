/**
 * Cross-site request forgery. An unsafe request from another site's page may neither use the session cookie (checkOrigin refuses it)
 * nor begin a session (the session itself does). Programs send neither Origin nor Sec-Fetch-Site and are not concerned.
 */
import { HttpError } from "../runtime/http_error.ts";

const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Whether a browser says that this unsafe request was made by a page of another origin. `own` is ours, such as https://example.com. */
export function isForeign(request: Request, own: () => string): boolean {
  if (safe.has(request.method)) return false;
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = request.headers.get("origin");
  return origin !== null && origin !== own();
}

/** The answer to a foreign request that carries the session's cookie. */
export function foreignOrigin(request: Request, own: string): HttpError {
  return new HttpError(
    403,
    `This request comes from ${request.headers.get("origin") ?? "another site"}, and this service is ${own}.`,
    {
      code: "foreign_origin",
    },
  );
}
