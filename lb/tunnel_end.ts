/**
 * A tunnel's side that is a whole TCP connection, which it is where HTTP/1.1 was spoken before. It took the socket over from the protocol
 * that answered or received 101, with what that had read and not used.
 */
import type { Protocol, TcpSocket } from "../src/io/connection.ts";
import type { Traffic, WriteQueue } from "../src/io/write_queue.ts";
import { log } from "../src/ops/log.ts";
import { messageOf } from "../src/std/errors.ts";
import type { Tunnel, TunnelEnd } from "./tunnel.ts";

export interface TunnelSocket {
  readonly socket: TcpSocket;
  readonly queue: WriteQueue;
  readonly tunnel: Tunnel;
  /** Bytes that were read before the switch and belong to what comes after it. */
  readonly early: Buffer | undefined;
  /** Counts what comes in. */
  readonly received?: Traffic;
  /** The connection is over. */
  readonly closed: () => void;
}

export class SocketEnd implements Protocol, TunnelEnd {
  readonly #of: TunnelSocket;
  #early: Buffer | undefined;
  /** The peer has said all it will. */
  #hasEnded = false;
  /** So have we, once it has been sent. */
  #isEnding = false;
  #isClosed = false;

  constructor(of: TunnelSocket) {
    this.#of = of;
    this.#early = of.early;
    of.socket.data = this;
    of.socket.pause();
  }

  // From the socket

  received(bytes: Buffer): void {
    const { received, tunnel } = this.#of;
    if (received !== undefined) received.bytes += bytes.length;
    tunnel.received(this, bytes);
  }

  drained(): void {
    const hasRoom = this.#of.queue.flushOnDrain();
    this.#endWhenSent();
    this.#of.tunnel.drained(this, hasRoom);
  }

  ended(): void {
    this.#hasEnded = true;
    this.#of.tunnel.ended(this);
  }

  closed(error: Error | undefined): void {
    // The end of a connection whose other direction had ended before is not told apart from its close.
    if (error === undefined && this.#isEnding && !this.#hasEnded) this.ended();
    this.close(false);
    this.#of.tunnel.closed(this);
  }

  failed(error: unknown): void {
    log.error({ error }, `a tunnel failed: ${messageOf(error)}`);
    this.#of.tunnel.failed();
  }

  // From the tunnel

  writeBody(bytes: Buffer, start: number, end: number): boolean {
    return this.#isEnding || this.#of.queue.write(bytes, start, end);
  }

  endBody(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#of.queue.flush();
    this.#endWhenSent();
  }

  pauseBody(): void {
    this.#of.socket.pause();
  }

  resumeBody(): void {
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.#of.tunnel.received(this, early);
    this.#of.socket.resume();
  }

  close(withReset: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { queue, socket, closed } = this.#of;
    queue.flush();
    queue.close();
    if (withReset) socket.terminate();
    else socket.end();
    closed();
  }

  #endWhenSent(): void {
    if (this.#isEnding && !this.#isClosed && this.#of.queue.pendingBytes === 0) this.#of.socket.shutdown();
  }
}
