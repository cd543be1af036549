/** Where an operator's orders come from: the control socket, and SIGHUP for a reload. What they do is control/'s. */
import { join, resolve } from "node:path";

import type { Config } from "../../src/config/options.ts";
import { log } from "../../src/ops/log.ts";
import { explain } from "../../src/std/errors.ts";
import { controlHandler, type Controlled } from "../control/handler.ts";
import { listenForOrders } from "./control_socket.ts";

export interface Orders {
  /** Of the socket; undefined if there is none. */
  readonly path: string | undefined;
  close(): Promise<void>;
}

/**
 * Takes orders until closed. Throws where --control names a path that cannot be listened on; without the option, a run directory that
 * cannot be written leaves the balancer without a socket and is a warning: serving matters more.
 */
export async function takeOrders(config: Config, controlled: Omit<Controlled, "config">): Promise<Orders> {
  const onHangup = (): void => {
    try {
      controlled.reload();
    } catch {
      // It has said why in the log.
    }
  };
  process.on("SIGHUP", onHangup);
  const path = resolve(config.control ?? join(config.runDir, `lb-${process.pid}.sock`));
  const socket = await listenForOrders(path, controlHandler({ ...controlled, config: config.config })).catch(
    (error: unknown) => {
      if (config.control !== undefined) throw error;
      log.warn({ path }, `scale lb cannot reach this balancer: ${explain(error)}`);
      return undefined;
    },
  );
  const close = async (): Promise<void> => {
    process.off("SIGHUP", onHangup);
    await socket?.close();
  };
  return { path: socket === undefined ? undefined : path, close };
}
