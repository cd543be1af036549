/**
 * A connection that a trusted proxy passes on (--proxy-protocol): waits for the header that says whose it is (wire/proxy_protocol.ts),
 * then hands the connection over under that address. What does not begin with a whole header in time is closed without an answer:
 * whom it would be given to is not known.
 */
import type { Protocol, TcpSocket } from "../../src/io/connection.ts";
import { log } from "../../src/ops/log.ts";
import { messageOf } from "../../src/std/errors.ts";
import { readProxyHeader } from "../../src/wire/proxy_protocol.ts";
import type { Connection } from "../connections.ts";
import type { Peer } from "../rewrite.ts";

export interface Proxied {
  /** The header has come. `source` is undefined where the proxy speaks for itself; `rest` is what followed, which may be nothing. */
  identified(connection: ProxiedConnection, source: string | undefined, rest: Buffer): void;
  unidentified(connection: ProxiedConnection, reason: string): void;
  gone(connection: ProxiedConnection): void;
}

export class ProxiedConnection implements Protocol, Connection {
  readonly socket: TcpSocket;
  /** The proxy. */
  readonly peer: Peer;
  deadline: number;
  readonly #owner: Proxied;
  #received: Buffer | undefined;

  constructor(socket: TcpSocket, peer: Peer, deadline: number, owner: Proxied) {
    this.socket = socket;
    this.peer = peer;
    this.deadline = deadline;
    this.#owner = owner;
  }

  received(bytes: Buffer): void {
    const all = this.#received === undefined ? bytes : Buffer.concat([this.#received, bytes]);
    const header = readProxyHeader(all);
    if (header.kind === "incomplete") this.#received = all;
    else if (header.kind === "malformed") this.#owner.unidentified(this, header.reason);
    else this.#owner.identified(this, header.source, all.subarray(header.after));
  }

  expire(): void {
    this.#owner.unidentified(this, "its header did not come within --header-timeout");
  }

  /** Nothing is under way on it. */
  drain(): void {
    this.close();
  }

  close(): void {
    this.#owner.gone(this);
    this.socket.end();
  }

  ended(): void {
    this.close();
  }

  closed(): void {
    this.#owner.gone(this);
  }

  drained(): void {
    // Nothing is sent.
  }

  failed(error: unknown): void {
    log.error({ error }, `a proxied connection failed: ${messageOf(error)}`);
    this.close();
  }
}
