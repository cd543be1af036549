/**
 * postgres://…?pgbouncer=true: the URL leads to a PgBouncer in transaction mode, which lends a server for one transaction at a time. The
 * parameter is ours, and no server hears of it. What follows from it is decided where statements are sent (store/sql).
 */

const parameter = /([?&])pgbouncer=([^&#]*)(&?)/;

/** "true", "false", or whatever else the URL says. */
export function bouncerParameter(url: string): string {
  return parameter.exec(url)?.[2] ?? "false";
}

export function isBouncer(url: string): boolean {
  return bouncerParameter(url) === "true";
}

/** The URL as the server is to read it. */
export function withoutBouncer(url: string): string {
  return url.replace(parameter, (_, before: string, __, after: string) => (after === "" ? "" : before));
}
