/**
 * Cross-site request forgery. An unsafe request from another site's page may neither use the session cookie (checkOrigin refuses it)
 * nor begin a session (the session itself does). Which requests are foreign is std/foreign.ts's.
 */
import { HttpError } from "../runtime/http_error.ts";

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
