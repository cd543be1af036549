/**
 * The cookie that brings a client back to its target. Its value is a keyed hash of the target's name (HMAC-SHA-256, RFC 2104): it is
 * name and signature in one, says nothing of the inside, and nobody can make one for another target. Which target a request goes to
 * when the cookie's is gone is the balance's.
 */
import { createHmac } from "node:crypto";

import { cookieIn } from "../../src/std/cookie.ts";
import { type Fields, known } from "../../src/wire/fields.ts";

/** Bytes of the hash that are kept: 128 bits cannot be guessed, and 22 characters cost little in every request. */
const tokenBytes = 16;

export function stickyToken(key: string, service: string, target: string): string {
  const hash = createHmac("sha256", key).update(`${service}\0${target}`).digest();
  return hash.subarray(0, tokenBytes).toString("base64url");
}

/** The value of the cookie `name` in a request (RFC 6265 §5.4), "" if it has none. */
export function cookieOf(fields: Fields, name: string): string {
  for (let index = 0; index < fields.count; index++) {
    if (fields.id(index) !== known.cookie) continue;
    const value = cookieIn(fields.value(index), name);
    if (value !== undefined) return value;
  }
  return "";
}

/**
 * A cookie of the browser's session: one that closes may start elsewhere. It names a place and opens nothing, so it does without Secure
 * and works where TLS ends at some doors only.
 */
export function stickyCookie(name: string, token: string): string {
  return `${name}=${token}; Path=/; HttpOnly; SameSite=Lax`;
}
