/**
 * The unix socket that operators' orders come on: for the user that runs the balancer only (mode 0600). Bound under a name of its own
 * and then renamed, so that what was there before is replaced in one step and never found half made. What is asked is
 * control/handler.ts'.
 */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";

import { messageOf, ScaleError } from "../../src/std/errors.ts";

export interface ControlSocket {
  /** Stops listening; the path goes if it is still this socket's. */
  close(): Promise<void>;
  /** Where another socket has taken the path, takes it back. */
  listenAgain(): Promise<void>;
}

const orderBytesMax = 64 * 1024;
/**
 * The answer to a successor is open for as long as it takes; nobody else has a reason to wait, nor the right to connect. Bun's types
 * know no such option of a unix socket, Bun 1.4.5 obeys it.
 */
const patient: object = { idleTimeout: 0 };
/** sockaddr_un has room for 108 bytes with the last one NUL. */
const pathBytesMax = 107;

/** Throws configuration_invalid for a path that cannot be one, address_taken where a balancer answers already, unless it is replaced. */
export async function listenForOrders(
  path: string,
  handler: (request: Request) => Promise<Response>,
  isSuccessor = false,
): Promise<ControlSocket> {
  const aside = `${path}.${process.pid}`;
  if (Buffer.byteLength(aside) > pathBytesMax) {
    throw new ScaleError("configuration_invalid", `--control=${path} is too long for a unix socket`, {
      hint: `a path of at most ${pathBytesMax - 12} bytes`,
    });
  }
  if (!isSuccessor && (await isAnswered(path))) {
    throw new ScaleError("address_taken", `another balancer listens for orders on ${path}`, {
      hint: "stop it, or give each its own --control=PATH",
    });
  }
  let server = open(path, aside, handler);
  let { ino } = statSync(path);
  return {
    async close() {
      await server.stop(true);
      if (inodeOf(path) === ino) rmSync(path, { force: true });
    },
    async listenAgain() {
      if (inodeOf(path) === ino) return;
      const before = server;
      server = open(path, aside, handler);
      ({ ino } = statSync(path));
      await before.stop(true);
    },
  };
}

async function isAnswered(path: string): Promise<boolean> {
  try {
    await fetch("http://control/status", { unix: path, signal: AbortSignal.timeout(1_000) });
    return true;
  } catch {
    return false;
  }
}

function open(path: string, aside: string, handler: (request: Request) => Promise<Response>): Bun.Server<undefined> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // The mode is that of the first moment: a change after it would leave one in which anybody may connect.
    const before = process.umask(0o177);
    try {
      rmSync(aside, { force: true });
      const server = Bun.serve({ unix: aside, maxRequestBodySize: orderBytesMax, fetch: handler, ...patient });
      renameSync(aside, path);
      return server;
    } finally {
      process.umask(before);
    }
  } catch (error) {
    throw new ScaleError("configuration_invalid", `--control=${path} cannot be listened on: ${messageOf(error)}`, {
      hint: "a path in a directory that this user can write",
      cause: error,
    });
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
