/**
 * One TCP connection as everything above io/ sees it, and the one set of Bun handlers that serves all of them: socket.data is the
 * protocol's object, so nothing is allocated or closed over per connection or event. Every event reads the clock on its way in; what the
 * events of one turn of the loop have staged is written after the last of them. Invariant: an exception in a protocol closes its
 * connection and no other.
 */
import { clock, tick } from "../std/clock.ts";
import { flushStaged, hasStaged } from "./write_queue.ts";

/** What a protocol does with its connection's events. `closed` comes exactly once, last. */
export interface Protocol {
  /** The bytes are the protocol's to keep. */
  received(bytes: Buffer): void;
  /** The kernel can take more bytes. */
  drained(): void;
  /** The peer will send nothing more (FIN). Nothing is closed by it. */
  ended(): void;
  closed(error: Error | undefined): void;
  /** A handler threw: the protocol is in no state to go on. */
  failed(error: unknown): void;
}

/** A protocol that is waiting for its connection to be made. */
export interface Dialing extends Protocol {
  connected(socket: TcpSocket): void;
  /** Not connected: refused, unreachable, name not found. `closed` does not follow. */
  connectFailed(reason: string): void;
}

export type TcpSocket = Bun.Socket<Protocol>;

/** The handlers all connections share. */
export const protocolHandlers = {
  data(socket: TcpSocket, bytes: Buffer): void {
    tick();
    try {
      socket.data.received(bytes);
      endEvent();
    } catch (error) {
      fail(socket, error);
    }
  },
  drain(socket: TcpSocket): void {
    tick();
    try {
      socket.data.drained();
      endEvent();
    } catch (error) {
      fail(socket, error);
    }
  },
  end(socket: TcpSocket): void {
    tick();
    try {
      socket.data.ended();
      endEvent();
    } catch (error) {
      fail(socket, error);
    }
  },
  close(socket: TcpSocket, error?: Error): void {
    tick();
    try {
      socket.data.closed(error);
      endEvent();
    } catch (thrown) {
      fail(socket, thrown);
    }
  },
  error(socket: TcpSocket, error: Error): void {
    fail(socket, error);
  },
};

let isTurnEnding = false;

/** What was staged is written after the last event of this turn of the loop. */
function endEvent(): void {
  if (isTurnEnding || !hasStaged()) return;
  isTurnEnding = true;
  setImmediate(endTurn);
}

function endTurn(): void {
  isTurnEnding = false;
  flushStaged();
}

function fail(socket: TcpSocket, error: unknown): void {
  socket.data.failed(error);
  socket.terminate();
  flushStaged();
}

/** Runs what did not come from a socket (a timer) as an event of its own. */
export function asEvent(work: (now: number) => void): void {
  tick();
  work(clock.now);
  flushStaged();
}
