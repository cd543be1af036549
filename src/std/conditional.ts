/** Conditional requests, RFC 9110 §13: whether what the client holds is still what we would send. */

/** If-None-Match decides where it is given, compared weakly (§13.1.2); else If-Modified-Since (§13.1.3) where there is a date. */
export function isFresh(headers: Headers, etag: string, modified?: Date): boolean {
  const known = headers.get("if-none-match");
  if (known !== null) {
    return known.trim() === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
  }
  const since = Date.parse(headers.get("if-modified-since") ?? "");
  return modified !== undefined && !Number.isNaN(since) && Math.floor(modified.getTime() / 1_000) * 1_000 <= since;
}
