/**
 * Where a redirect leads: the address of scale.toml with what the request says put into its places. Invariant: only a host that the
 * operator wrote or the request was for, and bytes that were valid in a request-target, come into Location.
 */
import type { RedirectEntry, RedirectStatus } from "../src/config/services.ts";
import { ScaleError } from "../src/std/errors.ts";
import { Fields } from "../src/wire/fields.ts";
import type { RequestHead } from "../src/wire/message.ts";
import type { LocalResponse } from "./respond.ts";

export interface Redirect {
  readonly kind: "redirect";
  readonly status: RedirectStatus;
  /** Texts, and between them the places. */
  readonly parts: readonly string[];
}

const noFields = new Fields(0);

export function compileRedirect({ to, status }: RedirectEntry): Redirect {
  return { kind: "redirect", status, parts: to.split(/(\{\w+\})/).filter((part) => part !== "") };
}

/** `prefix` is the path that the request was found by, "" for all. An error where the host is wanted and there is none (HTTP/1.0). */
export function redirectResponse(redirect: Redirect, prefix: string, head: RequestHead): LocalResponse | ScaleError {
  const { status, parts } = redirect;
  if (head.authority === "" && parts.includes("{host}")) return new ScaleError("request_malformed", "Host is missing");
  const location = parts.map((part) => valueOf(part, prefix, head)).join("");
  const body = Buffer.from(`${status} ${location}\n`);
  const added = ["Location", location, "Content-Type", "text/plain; charset=utf-8", "Date", new Date().toUTCString()];
  const hasBody = head.method !== "HEAD";
  return { head: { status, fields: noFields, bodyLength: body.length, hasBody }, added, body };
}

function valueOf(part: string, prefix: string, { authority, target }: RequestHead): string {
  const uri = target === "*" ? "/" : target;
  if (part === "{uri}") return uri;
  if (part === "{rest}") return uri.slice(prefix.length);
  return part === "{host}" ? hostOf(authority) : part;
}

/** The host of an authority without its port, in lower case and without the root's dot: names are the same with it. */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(":");
  const host = (colon > authority.lastIndexOf("]") ? authority.slice(0, colon) : authority).toLowerCase();
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
