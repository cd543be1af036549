// What a client that keeps its connection costs while it says nothing: resident memory over 15,000 connections, or as many as a balancer
// takes where its open files leave room for fewer, each of which has had one request answered, against the same process before the
// first. By then it has served others, because what it compiles for its first requests, some 10 MB, is no connection's.

import { clientsThatFit } from "../../../lb/open_files.ts";
import { connectionsThatFit } from "../../../src/ops/machine.ts";
import { eventually } from "../../harness/eventually.ts";
import { residentBytes } from "../../harness/proc.ts";
import { LoopConnection } from "../open_loop/connection.ts";
import { warmUpSeconds } from "./compare.ts";
import type { Proxy } from "./peers.ts";
import { load } from "./wrk.ts";

/** Of both targets together: the fewer connections they take, the more open files are left for clients. */
export const targetConnectionsMax = 4_000;
const connections = Math.min(15_000, clientsThatFit(connectionsThatFit(), targetConnectionsMax));
/** Connecting at a time: fewer than a listener's queue. */
const batch = 250;
const settleMilliseconds = 5_000;

/** `proxy` must be fresh. */
export async function idleConnections(proxy: Proxy, bytesMax: number): Promise<boolean> {
  const resident = () => proxy.pids().reduce((sum, pid) => sum + residentBytes(pid), 0);
  const fresh = resident();
  await load(proxy, { path: "/", connections: 64, seconds: warmUpSeconds });
  await Bun.sleep(settleMilliseconds);
  const before = resident();
  using clients = new IdleClients(proxy.url);
  await clients.open();
  await Bun.sleep(settleMilliseconds);
  const each = (resident() - before) / connections;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  process.stdout.write(
    `\n# Memory of ${connections} idle keep-alive connections\n\n` +
      `fresh ${megabytes(fresh)}, warm ${megabytes(before)}, with them ${megabytes(resident())}: ${each.toFixed(0)} bytes each  ` +
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
    for (let from = 0; from < this.#connections.length; from += batch) {
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
