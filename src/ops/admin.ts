/** The admin listener of every role: alive, ready, metrics. On loopback by default; never on the public port. */
import type { Config } from "../config/options.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { formatHostPort, type HostPort } from "../std/units.ts";
import { registry } from "./metrics.ts";

/** The answer of /readyz. A state of "draining" counts at once for whoever probes; `stores` never decides `ready`. */
export interface Readiness {
  readonly ready: boolean;
  readonly state: string;
  /** Why not, and what to do. */
  readonly reason?: string;
  readonly stores?: { readonly [store: string]: string };
}

export interface Admin {
  readonly address: HostPort;
  close(): Promise<void>;
}

/** 200 or 503 with the readiness as JSON: the body a person reads and the status a balancer reads. */
export function readinessResponse(readiness: Readiness): Response {
  return Response.json(readiness, { status: readiness.ready ? 200 : 503, headers: { "cache-control": "no-store" } });
}

/** 200 while the process lives and its loop turns. */
export function healthResponse(): Response {
  return new Response("ok\n", { headers: { "cache-control": "no-store" } });
}

/** Starts the listener. Throws address_taken where the port is in use. */
export function startAdmin(config: Pick<Config, "admin">, readiness: () => Readiness): Admin {
  const server = serve(config.admin, readiness);
  return {
    address: { host: config.admin.host, port: server.port ?? config.admin.port },
    close: () => server.stop(true),
  };
}

function serve({ host, port }: HostPort, readiness: () => Readiness): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      // In production Bun shares ports unless told not to, and two processes would answer each other's probes.
      reusePort: false,
      idleTimeout: 30,
      maxRequestBodySize: 64 * 1024,
      routes: {
        "/healthz": { GET: healthResponse },
        "/readyz": { GET: () => readinessResponse(readiness()) },
        "/metrics": { GET: metricsResponse },
      },
      fetch: () => new Response("admin listener: /healthz /readyz /metrics\n", { status: 404 }),
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

async function metricsResponse(): Promise<Response> {
  return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
}
