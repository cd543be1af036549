/**
 * The kinds of values that say which requests go where and what is changed on the way: hosts, path prefixes, redirects, fields. What
 * they do is lb/route.ts' and lb/header_rules.ts'; the tables they stand in are services.ts'.
 */
import { ExpectedError } from "../std/units.ts";
import type { Kind } from "./kinds.ts";

const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const hostForm = new RegExp(`^(?:(?:\\*\\.)?${label}(?:\\.${label})*|\\[[0-9a-f:.]+\\])$`);

/** A name, *.NAME for everything below a name, or an address. Case means nothing in a host (RFC 9110 §4.2.3): kept in lower case. */
export const hostPattern: Kind<string> = {
  form: "HOST|*.HOST",
  parse: (value) => {
    const host = value.toLowerCase();
    if (host.length <= 255 && hostForm.test(host)) return host;
    throw new ExpectedError("a host without port, or *.HOST for every host below it; for any host leave hosts out");
  },
};

/** What a CONNECT may ask for: one host and one port of it, in lower case. */
export const connectAuthority: Kind<string> = {
  form: "HOST:PORT",
  parse: (value) => {
    const [, host = "", port = ""] = /^(.+):([1-9]\d{0,4})$/.exec(value.toLowerCase()) ?? [];
    if (host.length <= 255 && hostForm.test(host) && !host.startsWith("*") && Number(port) <= 65_535)
      return `${host}:${port}`;
    throw new ExpectedError("HOST:PORT, as clients write it after CONNECT, with a port 1–65535");
  },
};

/**
 * The beginning of a path, up to the end of a segment. Nothing that can be written in two ways: case means something in a path, and
 * a request for the other spelling would go elsewhere.
 */
export const pathPrefix: Kind<string> = {
  form: "/PATH",
  parse: (value) => {
    if (value === "/") return value;
    const isPlain = /^(?:\/[\w.~!$&'()*+,=:@-]+)+$/.test(value) && !/\/\.\.?(?:\/|$)/.test(value);
    if (isPlain && value.length <= 1_024) return value;
    throw new ExpectedError(
      "a path such as /api, without dot segments, %, ; or ? in it and without / at its end: it holds for /api and all below /api/",
    );
  },
};

export const redirectStatuses = [301, 302, 307, 308] as const;
export type RedirectStatus = (typeof redirectStatuses)[number];

export const redirectStatus: Kind<RedirectStatus> = {
  form: redirectStatuses.join("|"),
  parse: (value) => {
    const status = redirectStatuses.find((each) => String(each) === value);
    if (status !== undefined) return status;
    throw new ExpectedError("301, 302, 307 or 308 (307 and 308 keep the method)");
  },
};

const redirectBytesMax = 2_048;
const placeholders = ["{host}", "{uri}", "{rest}"];
const redirectForm =
  /^(?:https?:\/\/(?:\{host\}|[a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?(?:[/?].*|\{uri\}|\{rest\})?|\/|\/[^/\\{].*)$/;

/** Where a redirect leads. What the request puts into it can only come after a host and a slash: it must not lead to a host of its own. */
export const redirectTo: Kind<string> = {
  form: "URL",
  parse: (value) => {
    const unknown = value.match(/\{[^}]*\}?/g)?.find((each) => !placeholders.includes(each));
    const isShort = value.length <= redirectBytesMax && (value.match(/\{(?:uri|rest)\}/g)?.length ?? 0) <= 1;
    const isVisible = /^[!#-;=?-_a-z{}~]+$/.test(value);
    if (unknown === undefined && isShort && isVisible && redirectForm.test(value)) return value;
    throw new ExpectedError(
      `a URL such as https://{host}{uri}, or a path such as /new{rest}; {host} is the request's host, {uri} its path and query, ` +
        "{rest} what follows the path it was found by; one of the two at most",
    );
  },
};

export type Scheme = "http" | "https";

/** Names scale reads, replaces or removes itself: framing, what concerns one hop only, who the client is. */
const ownFields = new Set(
  (
    "host content-length transfer-encoding connection keep-alive proxy-connection te trailer upgrade http2-settings " +
    "proxy-authenticate proxy-authorization expect date x-real-ip x-request-id traceparent tracestate"
  ).split(" "),
);

/** A field that rules may set, add or remove. */
export const fieldName: Kind<string> = {
  form: "NAME",
  parse: (value) => {
    // Servers of the CGI kind cannot tell _ from -.
    const plain = value.toLowerCase().replaceAll("_", "-");
    if (!/^[\w!#$%&'*+.^`|~-]{1,256}$/.test(value))
      throw new ExpectedError("the name of a field, such as X-Served-For");
    if (ownFields.has(plain) || /^(?:x-)?forwarded(?:-|$)/.test(plain)) {
      throw new ExpectedError(
        "a field that is not scale's own: framing, hop-by-hop, Date and who the client is stay as they are",
      );
    }
    return value;
  },
};

export const fieldValue: Kind<string> = {
  form: "TEXT",
  parse: (value) => {
    if (value.length <= 4_096 && /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/.test(value)) return value;
    throw new ExpectedError("visible ASCII without a line break and without white space around it, at most 4096 bytes");
  },
};
