/** The session's cookie: its name, how it is read and how it is set. RFC 6265 and the __Host- prefix of RFC 6265bis §4.1.3.2. */
import { parseId, type SessionId } from "./session_id.ts";

/** With TLS the name itself makes browsers refuse one that a subdomain or plain http has planted. */
export function cookieName(secure: boolean): string {
  return secure ? "__Host-sid" : "sid";
}

/** The session id in a Cookie field, or undefined. Anything that cannot be an id of ours is no id. */
export function readSessionId(cookieField: string | null, secure: boolean): SessionId | undefined {
  if (cookieField === null) return undefined;
  const prefix = `${cookieName(secure)}=`;
  for (const pair of cookieField.split(";")) {
    const trimmed = pair.trim();
    if (!trimmed.startsWith(prefix)) continue;
    const id = parseId(trimmed.slice(prefix.length));
    if (id !== undefined) return id;
  }
  return undefined;
}

/** A Set-Cookie value: `id` null ends the cookie. `lifetime` in milliseconds. */
export function sessionCookie(id: string | null, secure: boolean, lifetime: number): string {
  const seconds = id === null ? 0 : Math.floor(lifetime / 1_000);
  return `${cookieName(secure)}=${id ?? ""}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
}

/**
 * A response that hands out an id is for its receiver alone, whatever its handler says of caching: any answer may carry a new id, and a
 * cache may store a response with its Set-Cookie (RFC 9111 §7.3).
 */
export function keepFromSharedCaches(headers: Headers): void {
  if (!/\b(private|no-store)\b/i.test(headers.get("cache-control") ?? ""))
    headers.set("cache-control", "private, no-cache");
}
