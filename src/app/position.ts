/** How a client's consistency token (runtime/consistency.ts) travels: as a cookie, or as a field for clients that send that field. */
import { tokenSeconds } from "../runtime/consistency.ts";
import { cookieIn } from "../std/cookie.ts";

/** For API clients without cookies: sent empty it asks for a token, sent back with each request it is the token. */
const fieldName = "scale-position";

export function readPosition(headers: Headers, secure: boolean): string | undefined {
  const field = headers.get(fieldName);
  return field ?? cookieIn(headers.get("cookie") ?? "", cookieName(secure));
}

/** Puts the token on a response to a request with these headers. */
export function writePosition(response: Headers, request: Headers, secure: boolean, token: string): void {
  if (request.has(fieldName)) response.set(fieldName, token);
  else response.append("set-cookie", positionCookie(secure, token));
}

function positionCookie(secure: boolean, token: string): string {
  const ending = secure ? "; Secure" : "";
  return `${cookieName(secure)}=${token}; Path=/; Max-Age=${tokenSeconds}; HttpOnly; SameSite=Lax${ending}`;
}

function cookieName(secure: boolean): string {
  return secure ? "__Host-position" : "position";
}
