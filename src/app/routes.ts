/**
 * The application's routes as Bun.serve takes them. Each path becomes one function that picks the method itself, so that a path
 * without the asked method is 405 with Allow and never falls through to `fetch`. What happens around a handler is handle.ts.
 */
import type { App, Method } from "scale";

import { assetRoutes, isHtmlImport } from "../ops/html_import.ts";
import { HttpError } from "../runtime/http_error.ts";
import { ScaleError } from "../std/errors.ts";

/** A handler as it is called: the request (with params where routed) and Bun's server, for upgrades. */
export type Handler = (request: Request, server: Bun.Server<unknown>) => unknown;

const known: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
] satisfies Method[]);

type Methods = { readonly [M in Method]?: Handler };

/** `serve` wraps a handler into the walk of a request; `route` is the pattern, for metrics and the access log. */
export async function routeTable(
  app: App,
  serve: (route: string, handler: Handler) => Handler,
): Promise<{ [path: string]: Handler }> {
  const table: { [path: string]: Handler } = {};
  for (const [path, route] of Object.entries(app.routes ?? {}) as [string, unknown][]) {
    const paths = isHtmlImport(route) ? await assetRoutes(path, route) : { [path]: route };
    for (const [each, served] of Object.entries(paths)) {
      // Assets have a new name with every build; a series each would never end.
      table[each] = serve(each === path ? path : "asset", dispatch(methodsOf(each, served)));
    }
  }
  return table;
}

/** A bare handler or Response answers every method, as in Bun.serve. Throws entry_invalid for what cannot serve the path. */
function methodsOf(path: string, route: unknown): Methods | Handler {
  if (!path.startsWith("/")) throw invalid(path, "expected a path that begins with /");
  if (typeof route === "function") return route as Handler;
  if (route instanceof Response) return { GET: constant(route) };
  if (typeof route !== "object" || route === null)
    throw invalid(path, `expected a handler or a Response, got ${typeof route}`);
  const methods: { [method: string]: Handler } = {};
  for (const [method, handler] of Object.entries(route) as [string, unknown][]) {
    if (!known.has(method)) throw invalid(path, `${method} is not a method, expected ${[...known].join(", ")}`);
    if (handler instanceof Response) methods[method] = constant(handler);
    else if (typeof handler === "function") methods[method] = handler as Handler;
    else throw invalid(path, `expected a handler or a Response for ${method}, got ${typeof handler}`);
  }
  return methods;
}

function invalid(path: string, reason: string): ScaleError {
  return new ScaleError("entry_invalid", `the route "${path}" cannot be served: ${reason}`);
}

/** A body can be sent once, so each request gets a copy. */
function constant(response: Response): Handler {
  return () => response.clone();
}

function dispatch(methods: Methods | Handler): Handler {
  if (typeof methods === "function") return methods;
  const allow = allowOf(methods);
  return (request, server) => {
    const handler = methods[request.method as Method] ?? (request.method === "HEAD" ? methods.GET : undefined);
    if (handler) return handler(request, server);
    if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
    throw new HttpError(405, `${request.method} is not possible here. Allowed: ${allow}.`, { headers: { allow } });
  };
}

function allowOf(methods: Methods): string {
  const names = new Set(Object.keys(methods));
  if (names.has("GET")) names.add("HEAD");
  names.add("OPTIONS");
  return [...names].join(", ");
}
