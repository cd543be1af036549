// What a client that keeps its connection costs while it says nothing: resident memory over 15,000 connections, each of which has had one
// request answered, against the same process before the first.

import { eventually } from "../../harness/eventually.ts";
import { residentBytes } from "../../harness/proc.ts";
import { LoopConnection } from "../open_loop/connection.ts";
import type { Proxy } from "./peers.ts";

const connections = 15_000;
/** Connecting at a time: fewer than a listener's queue. */
const batch = 250;
const settleMilliseconds = 5_000;

/** `proxy` must be fresh: what it has served before is not counted. */
export async function idleConnections(proxy: Proxy, bytesMax: number): Promise<boolean> {
  const resident = () => proxy.pids().reduce((sum, pid) => sum + residentBytes(pid), 0);
  await Bun.sleep(settleMilliseconds);
  const before = resident();
  using clients = new IdleClients(proxy.url);
  await clients.open();
  await Bun.sleep(settleMilliseconds);
  const each = (resident() - before) / connections;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  process.stdout.write(
    `\n# Memory of ${connections} idle keep-alive connections\n\n` +
      `${megabytes(before)} → ${megabytes(resident())}: ${each.toFixed(0)} bytes each  ` +
      `(at most ${bytesMax})${each <= bytesMax ? "" : "  EXCEEDED"}\n`,
  );
  return each <= bytesMax;
}

class IdleClients implements Disposable {
  readonly #connections: readonly LoopConnection[];
  readonly #asked = new Set<LoopConnection>();
  #answers = 0;

  constructor(url: string) {
    this.#connections = Array.from({ length: connections }, () => new LoopConnection(new URL(url), this));
  }

  async open(): Promise<void> {
    for (let from = 0; from < connections; from += batch) {
      const some = this.#connections.slice(from, from + batch);
      for (const connection of some) connection.open();
      await eventually(() => this.#answers === from + some.length, { what: `${from + some.length} answers` });
    }
  }

  ready(connection: LoopConnection): void {
    if (!this.#asked.has(connection)) connection.send(0);
    this.#asked.add(connection);
  }

  answered(): void {
    this.#answers++;
  }

  failed(reason: string): void {
    throw new Error(`an idle client's request failed: ${reason}`);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
  }
}
