/** Who serves a request, by host, path and scheme; paths that could mean two things; redirects; header rules. */
import { describe, expect, test } from "bun:test";
import { posix } from "node:path";

import { HeaderRules } from "../../lb/header_rules.ts";
import { redirectResponse } from "../../lb/redirect.ts";
import { RouteTable } from "../../lb/route.ts";
import { requestOf, responseOf } from "../../lb/routed.ts";
import { type Claim, noRules, type RedirectEntry, type ServiceRoute } from "../../src/config/services.ts";
import { ScaleError } from "../../src/std/errors.ts";
import { RequestParser } from "../../src/wire/http1/request_parser.ts";
import { headRoom, writeRequestHead } from "../../src/wire/http1/serialise.ts";
import { length, nothingShared } from "../../src/wire/message.ts";

const everything: Claim = { hosts: [], paths: ["/"] };

function service(name: string, claim: Partial<Claim>, more: Partial<ServiceRoute> = {}): ServiceRoute {
  return {
    name,
    ...everything,
    ...claim,
    connect: [],
    stripPrefix: false,
    request: noRules,
    response: noRules,
    ...more,
  };
}

function redirect(claim: Partial<RedirectEntry>): RedirectEntry {
  return { ...everything, scheme: undefined, to: "https://{host}{uri}", status: 308, ...claim };
}

function table(services: readonly ServiceRoute[], redirects: readonly RedirectEntry[] = []) {
  return new RouteTable({ services, redirects }, (name) => name);
}

/** "service" or "redirect 308" or "misdirected". */
function found(routes: RouteTable<string>, authority: string, target: string, scheme: "http" | "https" = "http") {
  const { action } = routes.find({ method: "GET", authority, target }, scheme);
  if (action.kind === "serve") return action.service;
  return action.kind === "redirect" ? `redirect ${action.parts.join("")}` : action.code;
}

describe("a request goes to", () => {
  const shop = table([
    service("shop", { hosts: ["shop.example"] }),
    service("api", { hosts: ["shop.example"], paths: ["/api", "/v2/api"] }),
    service("admin", { hosts: ["shop.example", "*.shop.example"], paths: ["/admin"] }),
    service("tenants", { hosts: ["*.shop.example"] }),
    service("one", { hosts: ["*.one.shop.example"] }),
    service("health", { paths: ["/up"] }),
  ]);

  test.each([
    ["shop.example", "/", "shop"],
    ["SHOP.example", "/x", "shop"],
    ["shop.example:8080", "/", "shop"],
    ["shop.example.", "/", "shop"],
    ["shop.example", "/api", "api"],
    ["shop.example", "/api/", "api"],
    ["shop.example", "/api/users?x=/admin", "api"],
    ["shop.example", "/api?x", "api"],
    ["shop.example", "/apix", "shop"],
    ["shop.example", "/API", "shop"],
    ["shop.example", "/v2/api/x", "api"],
    ["shop.example", "/v2", "shop"],
    ["shop.example", "/admin/x", "admin"],
    ["shop.example", "*", "shop"],
    ["a.shop.example", "/", "tenants"],
    ["b.a.shop.example", "/admin", "admin"],
    ["one.shop.example", "/", "tenants"],
    ["x.one.shop.example", "/", "one"],
    ["x.one.shop.example", "/admin", "one"],
    ["other.example", "/up", "health"],
    ["other.example", "/upper", "not_found"],
    ["other.example", "*", "not_found"],
    ["shop.example", "/up", "shop"],
    ["", "/up", "health"],
    ["[2001:db8::1]:80", "/up", "health"],
    ["notshop.example", "/", "not_found"],
    [".shop.example", "/", "not_found"],
  ])("%s%s: %s", (authority, target, expected) => expect(found(shop, authority, target)).toBe(expected));

  test("nobody where no one serves the host", () => {
    const only = table([service("shop", { hosts: ["shop.example", "[2001:db8::1]"] })]);
    expect(["shop.example", "[2001:DB8::1]:80", "evil.example", ""].map((host) => found(only, host, "/"))).toEqual([
      "shop",
      "shop",
      "misdirected",
      "misdirected",
    ]);
  });

  test("the only service, whatever the host and the path", () => {
    const only = table([service("default", {})]);
    for (const target of ["/", "*", "/a/../b", "//", "/%2e%2e/x"]) expect(found(only, "x", target)).toBe("default");
  });
});

describe("a CONNECT", () => {
  const proxies = table([
    service("git", { paths: [] }, { connect: ["git.example:22", "[2001:db8::1]:443"] }),
    service("shop", {}, { connect: ["shop.example:443"] }),
  ]);

  test.each([
    ["git.example:22", "git"],
    ["GIT.example:22", "git"],
    ["[2001:DB8::1]:443", "git"],
    ["shop.example:443", "shop"],
    ["git.example:443", "request_malformed"],
    ["git.example.:22", "request_malformed"],
    ["x.git.example:22", "request_malformed"],
    ["127.0.0.1:22", "request_malformed"],
  ])("to %s: %s", (authority, expected) => {
    const { action } = proxies.find({ method: "CONNECT", authority, target: authority }, "http");
    expect(action.kind === "serve" ? action.service : action.kind === "refuse" && action.code).toBe(expected);
  });

  test("is all that leads to a service that names nothing else", () => {
    const only = table([service("git", { paths: [] }, { connect: ["git.example:22"] })]);
    expect(found(only, "git.example:22", "/")).toBe("misdirected");
    expect(found(only, "git.example:22", "git.example:22")).toBe("misdirected");
  });
});

describe("a path that servers read differently", () => {
  const routes = table([
    service("public", {}),
    service("admin", { paths: ["/admin"] }),
    service("api", { paths: ["/api"] }),
  ]);

  test.each([
    ["/public/../admin", "request_malformed"],
    ["/public/%2e%2E/admin", "request_malformed"],
    ["/public/.%2e/admin", "request_malformed"],
    ["/public/..%2fadmin", "request_malformed"],
    ["/public\\..\\admin", "request_malformed"],
    ["/public/..;/admin", "request_malformed"],
    ["/./admin", "request_malformed"],
    ["/..", "request_malformed"],
    ["/%61dmin", "request_malformed"],
    ["//admin", "request_malformed"],
    ["/%2fadmin", "request_malformed"],
    ["/\\admin", "request_malformed"],
    ["/;x/admin", "request_malformed"],
    ["/admin;x", "request_malformed"],
    ["/admin%3fx", "request_malformed"],
    ["/admin%2fx", "request_malformed"],
    ["/admin/a%2fb", "admin"],
    ["/admin//x", "admin"],
    ["/api/group%2Fproject;v=1//x", "api"],
    ["/caf%C3%A9", "public"],
    ["/.well-known/x", "public"],
    ["/a/.../b", "public"],
    ["/x%", "public"],
    ["/search?path=/../admin&x=%2e%2e//", "public"],
  ])("%s: %s", (target, expected) => {
    expect(found(routes, "x", target)).toBe(expected);
  });
});

/** Ways in which servers are known to read a path. */
const readings: { readonly [server: string]: (path: string) => string } = {
  "a URL parser": (path) => new URL(`http://x${path}`).pathname,
  "decode, then clean": (path) => posix.normalize(decoded(path)),
  "clean, then decode": (path) => decoded(posix.normalize(path)),
  "decode, slashes either way, clean": (path) => posix.normalize(decoded(path).replaceAll("\\", "/")),
  "without parameters": (path) => posix.normalize(decoded(path.replaceAll(/;[^/]*/g, ""))),
  "parameters last": (path) => posix.normalize(decoded(path)).replaceAll(/;[^/]*/g, ""),
  "merged slashes only": (path) => path.replaceAll(/\/+/g, "/"),
};

function decoded(path: string): string {
  return path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

test("no server reads a path that was routed elsewhere as one below /admin", () => {
  const routes = table([service("public", {}), service("admin", { paths: ["/admin"] })]);
  const pieces = [
    "/",
    "/",
    "//",
    "admin",
    "admin",
    "public",
    ".",
    "..",
    "%2e",
    "%2F",
    "%5c",
    "\\",
    ";x",
    "%61dmin",
    "%",
    "%3b",
    "a",
  ];
  // A linear congruential generator, so that a failure can be had again.
  let seed = 20_261_124;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const outcomes = new Map<string, number>();
  for (let n = 0; n < 20_000; n++) {
    const path = `/${Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join("")}`;
    const outcome = found(routes, "x", path);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome !== "public") continue;
    for (const [server, read] of Object.entries(readings)) {
      if (/^\/+admin(?:\/|$)/.test(read(path))) throw new Error(`${server} reads ${path} as ${read(path)}`);
    }
  }
  expect([...outcomes.keys()].toSorted()).toEqual(["admin", "public", "request_malformed"]);
});

describe("redirects", () => {
  test("of one scheme go before every service, those of any by their path", () => {
    const routes = table(
      [service("shop", { hosts: ["shop.example"] }), service("api", { hosts: ["shop.example"], paths: ["/api"] })],
      [
        redirect({ scheme: "http" }),
        redirect({ hosts: ["shop.example"], paths: ["/api/old"], to: "/api/new{rest}" }),
        redirect({ hosts: ["example.com"], to: "https://www.example.com{uri}" }),
      ],
    );
    expect(found(routes, "shop.example", "/api/x", "http")).toBe("redirect https://{host}{uri}");
    expect(found(routes, "shop.example", "/api/x", "https")).toBe("api");
    expect(found(routes, "shop.example", "/api/old/x", "https")).toBe("redirect /api/new{rest}");
    expect(found(routes, "example.com", "/", "https")).toBe("redirect https://www.example.com{uri}");
    expect(found(routes, "other.example", "/", "https")).toBe("not_found");
  });

  const parser = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 1000 });
  const head = (target: string, authority = "Shop.example:8080", method = "GET") =>
    Object.assign(parser, { method, authority, target });

  test.each([
    ["https://{host}{uri}", "/", "/a?b=c", "https://shop.example/a?b=c"],
    ["https://{host}:8443{uri}", "/", "*", "https://shop.example:8443/"],
    ["https://www.example.com{rest}", "/old", "/old/x?y", "https://www.example.com/x?y"],
    ["https://www.example.com{rest}", "/old", "/old", "https://www.example.com"],
    ["/new{rest}", "/old", "/old?x", "/new?x"],
    ["/new{rest}", "/old", "/old//evil.example", "/new//evil.example"],
    ["/login?from={uri}", "/", "/a", "/login?from=/a"],
  ])("to %s from %s, asked for %s: %s", (to, path, target, location) => {
    const { action, prefix } = table([], [redirect({ paths: [path], to })]).find(
      { method: "GET", authority: "x", target },
      "http",
    );
    if (action.kind !== "redirect") throw new Error(action.kind);
    const response = redirectResponse(action, prefix, head(target));
    if (response instanceof ScaleError) throw response;
    expect([response.head.status, response.added.slice(0, 2)]).toEqual([308, ["Location", location]]);
  });

  test("to the request's host cannot be made without one, and HEAD gets no body", () => {
    const { action } = table([], [redirect({})]).find({ method: "GET", authority: "", target: "/" }, "http");
    if (action.kind !== "redirect") throw new Error(action.kind);
    expect(redirectResponse(action, "", head("/", ""))).toBeInstanceOf(ScaleError);
    const response = redirectResponse(action, "", head("/", "a", "HEAD"));
    expect(response).toMatchObject({ head: { hasBody: false, bodyLength: "308 https://a/\n".length } });
  });
});

function parsed(...lines: readonly string[]): RequestParser {
  const parser = new RequestParser({ headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 1000 });
  const bytes = Buffer.from(["GET /api/users?x HTTP/1.1", "Host: a", ...lines, "", ""].join("\r\n"));
  parser.feed(bytes, 0, bytes.length);
  return parser;
}

describe("header rules", () => {
  test("remove, set and add, whatever the case, and in the spelling that CGI servers cannot tell apart", () => {
    const rules = new HeaderRules({ remove: ["X-Debug"], set: ["X-Env", "production"], add: ["Via", "scale"] });
    const { fields } = parsed("x-debug: 1", "X_Debug: 2", "X-Debugger: 3", "X-ENV: test", "x_env: test", "Via: other");
    const added = ["X-Request-Id", "1"];
    rules.apply(fields, added);
    expect(fields.entries()).toEqual([
      ["X-Debugger", "3"],
      ["Via", "other"],
    ]);
    expect(added).toEqual(["X-Request-Id", "1", "X-Env", "production", "Via", "scale"]);
  });

  test("of a service change its requests and responses, and the path that was stripped is told", () => {
    const rules = {
      request: { ...noRules, set: ["A", "1"] },
      response: { ...noRules, remove: ["Server"], add: ["B", "2"] },
    };
    const routes = table([service("api", { paths: ["/api", "/"] }, { stripPrefix: true, ...rules })]);
    const head = parsed("X-Forwarded-Prefix: /evil", "a: 2");
    const route = routes.find({ method: "GET", authority: "a", target: head.target }, "http");
    const added: string[] = [];
    expect(requestOf(route, head, added).target).toBe("/users?x");
    expect([added, head.fields.entries()]).toEqual([["A", "1", "X-Forwarded-Prefix", "/api"], []]);
    const { fields } = parsed("Server: x");
    const response = { status: 200, fields, bodyLength: length.none, hasBody: false };
    expect(responseOf(route, response, ["Date", "d"])).toEqual(["Date", "d", "B", "2"]);
    expect(fields.entries()).toEqual([]);
  });

  test("never need more room than a head has", () => {
    const value = "x".repeat(4_000);
    const written = { remove: [], set: ["A", value], add: ["B", value] };
    const path = `/${"p".repeat(1_000)}`;
    const limits = { headBytesMax: 4096, headFieldsMax: 20, targetBytesMax: 4096 };
    const routes = table([service("api", { paths: [path] }, { stripPrefix: true, request: written })]);
    const head = Object.assign(parsed(`C: ${"y".repeat(2_900)}`), { target: path });
    const added: string[] = [];
    const sent = requestOf(routes.find({ method: "GET", authority: "a", target: path }, "http"), head, added);
    const out = Buffer.alloc(headRoom(limits), 0);
    const end = writeRequestHead(out, 0, sent, added, nothingShared);
    expect(out.toString("latin1", 0, end)).toEndWith(`X-Forwarded-Prefix: ${path}\r\nB: ${value}\r\n\r\n`);
    expect(end).toBeLessThan(out.length);
  });

  test.each([
    ["/api", "/"],
    ["/api/", "/"],
    ["/api?x", "/?x"],
    ["/api/users", "/users"],
    ["/other", "/other"],
  ])("%s without the prefix is %s", (target, expected) => {
    const routes = table([service("api", { paths: ["/api", "/"] }, { stripPrefix: true })]);
    const head = Object.assign(parsed(), { target });
    expect(requestOf(routes.find({ method: "GET", authority: "a", target }, "http"), head, []).target).toBe(expected);
  });
});
