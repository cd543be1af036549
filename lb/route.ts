/**
 * Who serves a request: a table compiled from services and redirects, never changed, replaced as a whole. Hot: a lookup by host, then
 * one walk over that host's paths; no allocation.
 *
 * The most exact host decides first: the name itself, the longest *.NAME it lies below, any host. Within it the longest path wins, by
 * whole segments; a path that none of its claims holds for goes on to the less exact host. Redirects of one scheme go before all else,
 * so that http → https leaves no path out.
 */
import type { Claim, HeaderRules as WrittenRules, Routes, Scheme, ServiceRoute } from "../src/config/services.ts";
import type { ErrorCode } from "../src/std/errors.ts";
import { connectMethod, type RequestHead } from "../src/wire/message.ts";
import { HeaderRules } from "./header_rules.ts";
import { isUnusual, liberalReading } from "./path_readings.ts";
import { compileRedirect, hostOf, type Redirect } from "./redirect.ts";

/** What is done with a request. */
export interface Route<S> {
  /** The service's name, "redirect" or "none": in the log and in metrics. */
  readonly name: string;
  /** The path it was found by, "" for all. */
  readonly prefix: string;
  readonly scheme: Scheme | undefined;
  readonly action: Serve<S> | Redirect | Refuse;
}

export interface Serve<S> {
  readonly kind: "serve";
  readonly service: S;
  readonly stripPrefix: boolean;
  readonly request: HeaderRules | undefined;
  readonly response: HeaderRules | undefined;
}

export interface Refuse {
  readonly kind: "refuse";
  readonly code: ErrorCode;
  readonly message: string;
}

function refusal(code: ErrorCode, message: string): Route<never> {
  return { name: "none", prefix: "", scheme: undefined, action: { kind: "refuse", code, message } };
}

const noHost = refusal("misdirected", "this host is not served here");
const noConnect = refusal("request_malformed", "CONNECT to this authority is not served here");
const noPath = refusal("not_found", "nothing is served at this path");
const dotSegments = refusal("request_malformed", "the path has . or .. as a segment");
const twoReadings = refusal("request_malformed", "the path can be read in two ways that lead to different places");

/** What of a request decides. */
type Asked = Pick<RequestHead, "method" | "authority" | "target">;

/** Everything that can be asked of one host, in the order in which it is tried. */
interface HostRoutes<S> {
  readonly routes: readonly Route<S>[];
  /** Whether the path makes a difference. */
  readonly decidesByPath: boolean;
}

interface Wildcard<S> {
  /** ".shop.example" */
  readonly suffix: string;
  readonly host: HostRoutes<S>;
}

const slash = 0x2f;
const questionMark = 0x3f;

export class RouteTable<S> {
  readonly #hosts = new Map<string, HostRoutes<S>>();
  /** Longest first. */
  readonly #wildcards: readonly Wildcard<S>[];
  readonly #any: HostRoutes<S> | undefined;
  /** HOST:PORT in lower case → where a CONNECT to it goes. Nothing else matches a CONNECT, and these match nothing else. */
  readonly #connects = new Map<string, Route<S>>();

  /** `serviceOf` is asked once for each service. */
  constructor(routes: Routes, serviceOf: (name: string) => S) {
    const byHost = claimed(routes, serviceOf);
    const suffixes = [...byHost.keys()].filter((host) => host.startsWith("*")).map((host) => host.slice(1));
    suffixes.sort((a, b) => b.length - a.length);
    for (const host of byHost.keys()) {
      if (host !== any && !host.startsWith("*")) this.#hosts.set(host, ordered(byHost, host, suffixes));
    }
    this.#wildcards = suffixes.map((suffix) => ({ suffix, host: ordered(byHost, `*${suffix}`, suffixes) }));
    this.#any = byHost.has(any) ? ordered(byHost, any, []) : undefined;
    for (const route of routes.services) {
      const to = { name: route.name, prefix: "", scheme: undefined, action: serve(serviceOf(route.name), route, "") };
      for (const authority of route.connect) this.#connects.set(authority, to);
    }
  }

  /** The route of a request; one that refuses where nobody serves the host or the path, or the path could mean two things. */
  find({ method, authority, target }: Asked, scheme: Scheme): Route<S> {
    if (method === connectMethod) return this.#connects.get(authority.toLowerCase()) ?? noConnect;
    const host = this.#hostRoutes(authority);
    if (host === undefined) return noHost;
    const found = match(host.routes, target, scheme);
    if (!host.decidesByPath || !isUnusual(target)) return found;
    const reading = liberalReading(target);
    if (reading === undefined) return dotSegments;
    return match(host.routes, reading, scheme) === found ? found : twoReadings;
  }

  #hostRoutes(authority: string): HostRoutes<S> | undefined {
    if (this.#hosts.size === 0 && this.#wildcards.length === 0) return this.#any;
    const asWritten = this.#hosts.get(authority);
    if (asWritten !== undefined) return asWritten;
    const host = hostOf(authority);
    const exact = this.#hosts.get(host);
    if (exact !== undefined) return exact;
    for (let index = 0; index < this.#wildcards.length; index++) {
      const wildcard = this.#wildcards[index]!;
      if (host.length > wildcard.suffix.length && host.endsWith(wildcard.suffix)) return wildcard.host;
    }
    return this.#any;
  }
}

function match<S>(routes: readonly Route<S>[], target: string, scheme: Scheme): Route<S> {
  for (let index = 0; index < routes.length; index++) {
    const route = routes[index]!;
    if (route.scheme !== undefined && route.scheme !== scheme) continue;
    if (isBelow(target, route.prefix)) return route;
  }
  return noPath;
}

/** Whether the path is the prefix or lies below it: /api and /api/x, but not /apix. */
function isBelow(target: string, prefix: string): boolean {
  if (prefix === "") return true;
  if (!target.startsWith(prefix)) return false;
  if (target.length === prefix.length) return true;
  const next = target.charCodeAt(prefix.length);
  return next === slash || next === questionMark;
}

/** Key of the claims for any host. */
const any = "";

/** Host, *.NAME or `any` → its routes, in no order. */
function claimed<S>({ services, redirects }: Routes, serviceOf: (name: string) => S): Map<string, Route<S>[]> {
  const byHost = new Map<string, Route<S>[]>();
  const add = ({ hosts, paths }: Claim, routeAt: (prefix: string) => Route<S>): void => {
    const routes = paths.map((path) => routeAt(path === "/" ? "" : path));
    if (routes.length === 0) return;
    for (const host of hosts.length === 0 ? [any] : hosts) byHost.set(host, [...(byHost.get(host) ?? []), ...routes]);
  };
  for (const route of services) {
    const service = serviceOf(route.name);
    add(route, (prefix) => ({ name: route.name, prefix, scheme: undefined, action: serve(service, route, prefix) }));
  }
  for (const redirect of redirects) {
    const action = compileRedirect(redirect);
    add(redirect, (prefix) => ({ name: "redirect", prefix, scheme: redirect.scheme, action }));
  }
  return byHost;
}

/** What is taken off the path is told to the target, which else could not make a link. */
function serve<S>(service: S, { stripPrefix, request, response }: ServiceRoute, prefix: string): Serve<S> {
  const strips = stripPrefix && prefix !== "";
  const rules = strips ? { ...request, set: [...request.set, "X-Forwarded-Prefix", prefix] } : request;
  return { kind: "serve", service, stripPrefix: strips, request: compile(rules), response: compile(response) };
}

function compile(written: WrittenRules): HeaderRules | undefined {
  const rules = new HeaderRules(written);
  return rules.isEmpty ? undefined : rules;
}

/** The routes of a host followed by those of the less exact ones it lies in. */
function ordered<S>(byHost: Map<string, Route<S>[]>, host: string, suffixes: readonly string[]): HostRoutes<S> {
  const around = suffixes
    .filter((suffix) => host.endsWith(suffix) && host !== `*${suffix}`)
    .map((suffix) => `*${suffix}`);
  const levels = [...new Set([host, ...around, any])].map((level) =>
    (byHost.get(level) ?? []).toSorted((a, b) => b.prefix.length - a.prefix.length),
  );
  const all = levels.flat();
  const routes = [
    ...all.filter(({ scheme }) => scheme !== undefined),
    ...all.filter(({ scheme }) => scheme === undefined),
  ];
  // What comes after one that holds for everything is never reached.
  const last = routes.findIndex(({ prefix, scheme }) => prefix === "" && scheme === undefined);
  const reached = last === -1 ? routes : routes.slice(0, last + 1);
  return { routes: reached, decidesByPath: reached.some(({ prefix }) => prefix !== "") };
}
