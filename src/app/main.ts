/**
 * Role app: an application's routes over HTTP. A table of contents: open, listen, prepare, serve; closing is the same backwards.
 * The walk of one request is handle.ts.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

import type { App } from "scale";

import type { Config } from "../config/options.ts";
import { version } from "../config/version.ts";
import { healthResponse, readinessResponse, startAdmin } from "../ops/admin.ts";
import { publishHttpMetrics } from "../ops/http_metrics.ts";
import { Lifecycle } from "../ops/lifecycle.ts";
import { log } from "../ops/log.ts";
import { publishProcessMetrics } from "../ops/process_metrics.ts";
import { announce } from "../ops/run_dir.ts";
import type { Application } from "../runtime/entry.ts";
import { HttpError } from "../runtime/http_error.ts";
import { closeStores, openStores, storePlaces } from "../runtime/runtime.ts";
import { statementShapes } from "../runtime/statements.ts";
import { messageOf, ScaleError } from "../std/errors.ts";
import { formatHostPort } from "../std/units.ts";
import { pathOf, Serving } from "./handle.ts";
import { Preparation } from "./readiness.ts";
import { type Handler, routeTable } from "./routes.ts";
import { staticFiles } from "./static_files.ts";

/** Serves until it is told to stop; resolves with the exit code. */
export function run(config: Config, load: () => Promise<Application>): Promise<number> {
  const life = new Lifecycle();
  life.listen({ withParent: config.stopWithParent });
  return life.run(() => start(config, load, life));
}

async function start(config: Config, load: () => Promise<Application>, life: Lifecycle): Promise<void> {
  const instance = config.instance ?? `app-${process.pid}`;

  const application = await load();
  const stores = openStores(config);
  life.onClose("stores", closeStores);
  // Closed after the server, so that onStop sees the last request's traces.
  let started = false;
  life.onClose("application", () => (started ? application.definition.onStop?.() : undefined));
  const preparation = new Preparation(life);
  // Before the server, and so closed after it: a drain that takes its time is watched to its end.
  const admin = startAdmin(config, () => ({ ...preparation.readiness, places: storePlaces() }), {
    "/statements": { GET: () => Response.json(statementShapes()) },
  });
  life.onClose("admin", () => admin.close());
  const requests = new Serving(config, instance, application.definition);
  const server = listen(config, await routes(application, requests, preparation, config), application.definition);
  life.onClose("server", () => close(server, requests, config));

  publishHttpMetrics();
  publishProcessMetrics({ version, role: "app", ready: () => preparation.readiness.ready });
  const address = formatHostPort({ host: config.listen.host, port: server.port ?? config.listen.port });
  life.onClose(
    "run directory",
    announce(config, {
      pid: process.pid,
      role: "app",
      instance,
      listen: address,
      admin: admin.address,
    }),
  );
  log.info(
    { listen: address, admin: admin.address, entry: application.source },
    `role app listens on http://${address}`,
  );

  await preparation.run(config, application, stores.sql);
  if (!life.draining.aborted) {
    await application.definition.onStart?.();
    started = true;
  }
  life.ready();
}

type Table = { [path: string]: Handler | { readonly GET: Handler } };

interface Routes {
  readonly table: Table;
  /** For what no path of the table matches. */
  readonly rest: Handler;
}

/** Probes first, then the application's routes, then its files, then its `fetch`. */
async function routes(
  application: Application,
  requests: Serving,
  preparation: Preparation,
  config: Config,
): Promise<Routes> {
  const probes: Table = {
    "/healthz": { GET: healthResponse },
    "/readyz": { GET: () => readinessResponse(preparation.readiness) },
  };
  const files = staticHandler(application, config);
  const wrap = (route: string, handler: Handler) => requests.wrap(route, handler);
  const { definition } = application;
  const fallback: Handler = async (request, server) => {
    const file = await files?.(request, pathOf(request.url));
    if (file) return file;
    if (definition.fetch) return (definition.fetch as Handler).call(definition, request, server);
    throw new HttpError(404, `There is nothing at ${pathOf(request.url)}.`);
  };
  return { table: { ...(await routeTable(definition, wrap)), ...probes }, rest: wrap("*", fallback) };
}

function staticHandler(application: Application, config: Config): ReturnType<typeof staticFiles> | undefined {
  const beside = application.directory === undefined ? undefined : join(application.directory, "public");
  const directory = config.staticDir ?? (beside !== undefined && existsSync(beside) ? beside : undefined);
  if (directory === undefined) return undefined;
  if (existsSync(directory)) return staticFiles(directory);
  throw new ScaleError("configuration_invalid", `--static-dir is ${directory}, and there is no such directory`);
}

function listen(config: Config, { table, rest }: Routes, definition: App): Bun.Server<unknown> {
  const { host, port } = config.listen;
  const { websocket } = definition as { readonly websocket?: Bun.WebSocketHandler<unknown> };
  try {
    return Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      development: false,
      // Without development, Bun shares ports unless told not to, and a second start by mistake would take half of the requests; of
      // several processes, the supervisor has claimed the port.
      reusePort: config.child !== undefined,
      idleTimeout: Math.ceil(config.idleTimeout / 1_000),
      maxRequestBodySize: Math.min(config.bodyBytesMax, Number.MAX_SAFE_INTEGER),
      routes: table as { [path: string]: Handler },
      fetch: rest,
      ...(websocket ? { websocket } : {}),
      // Every error of a handler is answered in handle.ts; what arrives here is a request that Bun itself could not serve.
      error: (error) => {
        log.error({ error }, `the request could not be served: ${messageOf(error)}`);
        return new Response("Internal error\n", { status: 500 });
      },
    } as Bun.Serve.Options<unknown>);
  } catch (error) {
    // Anything but the address is something in the routes that Bun does not take, and its message says what.
    if ((error as { code?: string }).code !== "EADDRINUSE" && (error as { code?: string }).code !== "EACCES")
      throw error;
    throw new ScaleError("address_taken", `port ${port} on ${host} cannot be listened on: ${messageOf(error)}`, {
      hint: "--listen=127.0.0.1:0 takes a free port",
      cause: error,
    });
  }
}

/** Not ready first, so that balancers notice; then no new connections; then the requests under way have their time. */
async function close(server: Bun.Server<unknown>, requests: Serving, config: Config): Promise<void> {
  requests.drain();
  await Bun.sleep(config.drainDelay);
  const forced = setTimeout(() => void server.stop(true), config.drainTimeout);
  await server.stop();
  clearTimeout(forced);
  requests.stop();
}
