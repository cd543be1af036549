/**
 * The admin listener of every role: alive, ready, metrics, and what else a role shows its operator. On loopback by default; never on
 * the public port. Probes and metrics are for everybody who can reach it; pages, which also change things, only for this machine. One of
 * several processes has no listener: its supervisor asks it and answers for all (child_pages.ts).
 */
import type { Config } from "../config/options.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { isForeign, isLoopback, namesLoopback } from "../std/foreign.ts";
import { formatHostPort, type HostPort } from "../std/units.ts";
import { noSuchPage } from "./child_pages.ts";
import { registry } from "./metrics.ts";
import { answerParent } from "./parent.ts";

/** The answer of /readyz. A state of "draining" counts at once for whoever probes; `stores` never decides `ready`. */
export interface Readiness {
  readonly ready: boolean;
  readonly state: string;
  /** Why not, and what to do. */
  readonly reason?: string;
  readonly stores?: { readonly [store: string]: string };
  /** Where they are. */
  readonly places?: { readonly [store: string]: string };
}

/** Pages for the operator by path and method. */
export interface AdminPages {
  readonly [path: string]: { readonly [M in "GET" | "POST"]?: (request: Request) => Response | Promise<Response> };
}

export interface Admin {
  /** HOST:PORT; undefined where a supervisor answers. */
  readonly address: string | undefined;
  close(): Promise<void>;
}

/** Whom the listener asks. */
export interface Answers {
  readonly readiness: () => Readiness | Promise<Readiness>;
  /** As Prometheus reads it. */
  readonly metrics: () => Promise<string>;
  /** Pages that are not known before they are asked for. */
  readonly page?: (request: Request) => Promise<Response>;
}

/** 200 or 503 with the readiness as JSON: the body a person reads and the status a balancer reads. */
export function readinessResponse(readiness: Readiness): Response {
  return Response.json(readiness, { status: readiness.ready ? 200 : 503, headers: { "cache-control": "no-store" } });
}

/** 200 while the process lives and its loop turns. */
export function healthResponse(): Response {
  return new Response("ok\n", { headers: { "cache-control": "no-store" } });
}

/** Answers for this process: on a listener of its own, or to its supervisor. Throws address_taken where the port is in use. */
export function startAdmin(
  config: Pick<Config, "admin" | "child">,
  readiness: () => Readiness,
  pages: AdminPages = {},
): Admin {
  if (config.child !== undefined) return answerParent(readiness, pages);
  return serveAdmin(config.admin, { readiness, metrics: () => registry.metrics() }, pages);
}

/** Starts the listener. Throws address_taken where the port is in use. */
export function serveAdmin({ host, port }: HostPort, answers: Answers, pages: AdminPages = {}): Admin {
  const server = serve({ host, port }, answers, pages);
  return { address: formatHostPort({ host, port: server.port ?? port }), close: () => server.stop(true) };
}

function serve({ host, port }: HostPort, answers: Answers, pages: AdminPages): Bun.Server<undefined> {
  const { readiness, metrics, page } = answers;
  try {
    return Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      // In production Bun shares ports unless told not to, and two processes would answer each other's probes.
      reusePort: false,
      idleTimeout: 30,
      maxRequestBodySize: 64 * 1024,
      routes: {
        ...guarded(pages),
        "/healthz": { GET: healthResponse },
        "/readyz": { GET: async () => readinessResponse(await readiness()) },
        "/metrics": {
          GET: async () => new Response(await metrics(), { headers: { "content-type": registry.contentType } }),
        },
      },
      fetch: page === undefined ? () => noSuchPage(pages) : guard(page),
    });
  } catch (error) {
    throw new ScaleError(
      "address_taken",
      `--admin=${formatHostPort({ host, port })} cannot be listened on: ${messageOf(error)}`,
      {
        hint: "--admin=127.0.0.1:0 takes a free port",
        cause: error,
      },
    );
  }
}

type Served = (request: Request, server: Bun.Server<undefined>) => Response | Promise<Response>;

/** Pages answer this machine only, under its own name, and take nothing from another site's page. */
function guarded(pages: AdminPages): { [path: string]: { [method: string]: Served } } {
  return Object.fromEntries(
    Object.entries(pages).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, page]) => [method, guard(page)])),
    ]),
  );
}

function guard(page: Served): Served {
  return (request, server) => {
    const reason = refusal(request, server);
    return reason === undefined ? page(request, server) : new Response(`${reason}\n`, { status: 403 });
  };
}

function refusal(request: Request, server: Bun.Server<undefined>): string | undefined {
  const host = request.headers.get("host");
  const peer = server.requestIP(request)?.address ?? "";
  if (!isLoopback(peer)) {
    return `This page answers its own machine only, and you come from ${peer}. Fix: ssh -L 9000:${formatHostPort({ host: "127.0.0.1", port: server.port ?? 0 })} this-machine`;
  }
  if (!namesLoopback(host)) return "This page answers under localhost or 127.0.0.1 only: another name may be a trap.";
  if (isForeign(request, () => `http://${host}`)) return "This request was made by another site's page.";
  return undefined;
}
