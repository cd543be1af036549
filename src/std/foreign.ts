/**
 * Whether a request was made by a page of another origin: what stands between a browser's credentials, or its place on a machine, and
 * any page it has open. What follows from that is decided where the request is served.
 */

const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/**
 * Whether a browser says that this unsafe request was made by a page of another origin. `own` is ours, such as https://example.com.
 * Programs send neither Origin nor Sec-Fetch-Site.
 */
export function isForeign(request: Request, own: () => string): boolean {
  if (safe.has(request.method)) return false;
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = request.headers.get("origin");
  return origin !== null && origin !== own();
}

/**
 * Whether a request's Host names this machine itself. A page elsewhere can make its own name point to 127.0.0.1 (DNS rebinding), and
 * is then of one origin with whatever listens here; but the name stays its own.
 */
export function namesLoopback(host: string | null): boolean {
  const name = (host ?? "").replace(/:\d{1,5}$/, "").toLowerCase();
  return name === "localhost" || name === "[::1]" || isLoopback(name);
}

/** Whether an IP address is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address);
}
