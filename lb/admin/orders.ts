/** Where an operator's orders come from: the control socket, and SIGHUP for a reload. What they do is control/'s. */
import { join, resolve } from "node:path";

import type { Config } from "../../src/config/options.ts";
import { log } from "../../src/ops/log.ts";
import { explain } from "../../src/std/errors.ts";
import { controlHandler, type Controlled } from "../control/handler.ts";
import { listenForOrders } from "./control_socket.ts";
import type { Succession } from "./succession.ts";

export interface Orders {
  /** Of the socket; undefined if there is none. */
  readonly path: string | undefined;
  close(): Promise<void>;
}

/**
 * Takes orders until closed. Throws where --control names a path that cannot be listened on; without the option, a run directory that
 * cannot be written leaves the balancer without a socket and is a warning: serving matters more.
 */
export async function takeOrders(
  config: Config,
  controlled: Omit<Controlled, "config">,
  succession: Succession,
): Promise<Orders> {
  const onHangup = (): void => {
    try {
      controlled.reload();
    } catch {
      // It has said why in the log.
    }
  };
  process.on("SIGHUP", onHangup);
  const path = resolve(config.control ?? join(config.runDir, `lb-${process.pid}.sock`));
  const orders = controlHandler({ ...controlled, config: config.config });
  const handler = (request: Request) => (isRelease(request) ? release(succession) : orders(request));
  const socket = await listenForOrders(path, handler, config.takeover).catch((error: unknown) => {
    if (config.control !== undefined) throw error;
    log.warn({ path }, `scale lb cannot reach this balancer: ${explain(error)}`);
    return undefined;
  });
  const close = async (): Promise<void> => {
    process.off("SIGHUP", onHangup);
    await socket?.close();
  };
  return { path: socket === undefined ? undefined : path, close };
}

/** A successor's, not an operator's. */
function isRelease(request: Request): boolean {
  return request.method === "POST" && new URL(request.url).pathname === "/release";
}

async function release(succession: Succession): Promise<Response> {
  await succession.release();
  return Response.json({});
}
