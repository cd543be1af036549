/** Where an operator's orders come from: the control socket, and SIGHUP for a reload. What they do is control/'s. */
import { join, resolve } from "node:path";

import type { Config } from "../../src/config/options.ts";
import { log } from "../../src/ops/log.ts";
import { explain } from "../../src/std/errors.ts";
import { controlHandler, type Controlled, refusal } from "../control/handler.ts";
import { listenForOrders } from "./control_socket.ts";
import type { Loan } from "./loan.ts";
import type { Succession } from "./succession.ts";

export interface Orders {
  /** Of the socket; undefined if there is none. */
  readonly path: string | undefined;
  close(): Promise<void>;
  /** Of a successor that has put its own socket in the place of this one, and is gone. */
  takeBack(): Promise<void>;
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
  let isOpen = true;
  // It stays when this is closed: without it a hang-up would end the process before it is done.
  process.on("SIGHUP", () => {
    try {
      if (isOpen) controlled.reload();
    } catch {
      // It has said why in the log.
    }
  });
  const path = resolve(config.control ?? join(config.runDir, `lb-${process.pid}.sock`));
  const orders = controlHandler({ ...controlled, config: config.config });
  const handler = (request: Request) => (isRelease(request) ? release(request, succession.loan) : orders(request));
  const socket = await listenForOrders(path, handler, config.takeover).catch((error: unknown) => {
    if (config.control !== undefined) throw error;
    log.warn({ path }, `scale lb cannot reach this balancer: ${explain(error)}`);
    return undefined;
  });
  const close = async (): Promise<void> => {
    isOpen = false;
    await socket?.close();
  };
  return { path: socket === undefined ? undefined : path, close, takeBack: async () => socket?.listenAgain() };
}

/** A successor's, not an operator's. */
function isRelease(request: Request): boolean {
  return request.method === "POST" && new URL(request.url).pathname === "/release";
}

/** The answer does not end: the loan is over when the connection is. Of that there are two signs, and either may come alone. */
async function release(request: Request, loan: Loan): Promise<Response> {
  let over: () => void;
  try {
    over = await loan.lend();
  } catch (error) {
    return refusal(error);
  }
  request.signal.addEventListener("abort", over);
  if (request.signal.aborted) over();
  const begin = (stream: ReadableStreamDefaultController<Uint8Array>) =>
    stream.enqueue(new TextEncoder().encode("{}\n"));
  return new Response(new ReadableStream<Uint8Array>({ start: begin, cancel: over }));
}
