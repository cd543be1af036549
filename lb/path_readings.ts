/**
 * Paths that two servers could read differently: "//", "%2f", "\", ";x", "%61" for "a", and dot segments. A target may decode and
 * clean a path before it looks at it, so a request for /public/..%2fadmin is one for /admin to some. Where paths decide who serves,
 * such a path is read the other way too, and passes only if both ways lead to the same service; dot segments do not pass at all, since
 * every client takes them out itself (RFC 3986 §5.2.4). What passes is sent on as it came. Pure.
 */

const unusual = /^[^?]*?(?:[%\\;]|\/\/|\/\.)/;

/** Whether there is more than one way to read the path of a request-target. Hot: no allocation. */
export function isUnusual(target: string): boolean {
  return unusual.test(target);
}

/** The path as the most liberal server would read it; undefined if it has dot segments then. */
export function liberalReading(target: string): string | undefined {
  const [path = ""] = target.split("?", 1);
  const decoded = path
    .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll("\\", "/")
    .replaceAll(/;[^/]*/g, "");
  if (/\/\.\.?(?:\/|$)/.test(decoded)) return undefined;
  return decoded.replaceAll(/\/{2,}/g, "/");
}
