// Before a PostgreSQL: passes everything on, but for requests to cancel, with which it does what a slow network may do to them.
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** passed: as it comes. lost: kept back, and never answered. late: passed on, and its end kept back until it is released. */
export type Fate = "passed" | "lost" | "late";

export interface CancelRelay extends AsyncDisposable {
  /** The URL of its server, through it. */
  url(direct: string): string;
  /** Of requests to cancel from now on. */
  fate: Fate;
  /** Requests that came, and the most that were open at once. */
  readonly requests: number;
  readonly openMax: number;
  /** Lets the late ones end. */
  release(): void;
}

const cancelCode = 80_877_102;
const cancelBytes = 16;
const settleMilliseconds = 50;

export async function startCancelRelay(port: number): Promise<CancelRelay> {
  const sockets = new Set<Socket>();
  const late: Socket[] = [];
  const counts = { requests: 0, open: 0, openMax: 0 };
  const relay = { fate: "passed" as Fate };

  const server = createServer((client) => {
    keep(client);
    client.once("data", (first: Buffer) => {
      if (first.length !== cancelBytes || first.readUInt32BE(4) !== cancelCode) return join(client, first);
      count(client);
      if (relay.fate === "lost") return undefined;
      if (relay.fate === "late") late.push(client);
      const upstream = keep(connect(port, "127.0.0.1"));
      upstream.end(first);
      if (relay.fate === "passed") upstream.on("close", () => client.destroy());
      return undefined;
    });
  });

  function keep(socket: Socket): Socket {
    sockets.add(socket);
    return socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  }

  function count(client: Socket): void {
    counts.requests++;
    // Whatever closed before this one was opened has been seen to close by then.
    setTimeout(() => {
      if (client.destroyed) return;
      counts.openMax = Math.max(counts.openMax, ++counts.open);
      client.on("close", () => counts.open--);
    }, settleMilliseconds);
  }

  function join(client: Socket, first: Buffer): void {
    const upstream = keep(connect(port, "127.0.0.1"));
    upstream.write(first);
    client.pipe(upstream);
    upstream.pipe(client);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  }

  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const own = (server.address() as AddressInfo).port;
  return {
    url: (direct) => direct.replace(`:${port}/`, `:${own}/`),
    get fate() {
      return relay.fate;
    },
    set fate(fate) {
      relay.fate = fate;
    },
    get requests() {
      return counts.requests;
    },
    get openMax() {
      return counts.openMax;
    },
    release: () => {
      for (const client of late.splice(0)) client.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
